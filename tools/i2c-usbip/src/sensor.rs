//! The chip of edgerun's own tests: the very same files, linked here.

mod gravity;
pub(crate) mod mpu6050 {
    pub(crate) mod registers;
}
pub(crate) mod sim;
