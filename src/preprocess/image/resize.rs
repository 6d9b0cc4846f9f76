//! Resizing as Pillow, TensorFlow and OpenCV each define it.
//!
//! A model sees in its pixels what it was trained on, or something else: the definitions differ by up to half
//! of the range. Parity: Pillow's and TensorFlow's are bit-identical, OpenCV's within 1 unit
//! (`scripts/image-goldens.py`).

mod opencv;
mod pillow;
mod tensorflow;

use crate::model::Resize;

/// Interleaved pixels in a larger picture: `[height, width, channels]`.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    /// From the first pixel on.
    pub bytes: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Bytes a pixel: 1 or 3.
    pub channels: usize,
}

impl<'a> Pixels<'a> {
    /// Row `y`, `[width, channels]`.
    fn row(&self, y: usize) -> &'a [u8] {
        &self.bytes[y * self.stride..][..self.width * self.channels]
    }
}

/// A row of the result, `[width, channels]`, 0 to 255.
#[derive(Clone, Copy, Debug)]
pub enum Row<'a> {
    /// Pillow's and OpenCV's are of 8 bits.
    Bytes(&'a [u8]),
    /// TensorFlow's are not rounded.
    Real(&'a [f32]),
}

/// Takes the rows of a result, from the first to the last, each with its number.
pub type Rows<'a> = dyn FnMut(usize, Row<'_>) + 'a;

/// A resize made ready for one pair of sizes: nothing is allocated for a picture.
#[derive(Clone, Debug)]
pub struct Resizer {
    method: Resize,
    sizes: Sizes,
    how: How,
}

/// From which size to which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Width and height.
    pub(super) from: [usize; 2],
    /// Width and height.
    pub(super) to: [usize; 2],
    /// Bytes a pixel.
    pub(super) channels: usize,
}

#[derive(Clone, Debug)]
enum How {
    Copy,
    Pillow(pillow::Convolution),
    TensorflowLines(tensorflow::Lines),
    TensorflowArea(tensorflow::Cells),
    OpencvLinear(opencv::Linear),
    OpencvArea(opencv::Cells),
}

impl Resizer {
    /// From width and height to width and height, of 1 or 3 bytes a pixel.
    ///
    /// # Panics
    /// When a size is 0: pictures and inputs have at least one pixel.
    pub fn new(method: Resize, from: [usize; 2], to: [usize; 2], channels: usize) -> Self {
        assert!(from.iter().chain(&to).all(|&n| n > 0), "pictures and inputs have pixels");
        let sizes = Sizes { from, to, channels };
        let how = match method {
            // All of them are the identity then.
            _ if from == to => How::Copy,
            Resize::PillowBox => How::Pillow(pillow::Convolution::new(pillow::BOX, sizes)),
            Resize::PillowBilinear => {
                How::Pillow(pillow::Convolution::new(pillow::BILINEAR, sizes))
            }
            Resize::PillowBicubic => How::Pillow(pillow::Convolution::new(pillow::BICUBIC, sizes)),
            Resize::PillowLanczos => How::Pillow(pillow::Convolution::new(pillow::LANCZOS, sizes)),
            Resize::TensorflowBilinear => lines(sizes, tensorflow::Grid::HalfPixel),
            Resize::TensorflowV1Bilinear => lines(sizes, tensorflow::Grid::Corner),
            Resize::TensorflowAlignCorners => lines(sizes, tensorflow::Grid::Aligned),
            Resize::TensorflowArea => How::TensorflowArea(tensorflow::Cells::new(sizes)),
            Resize::OpencvLinear if opencv::halves(sizes) => {
                How::OpencvArea(opencv::Cells::new(sizes))
            }
            Resize::OpencvLinear => How::OpencvLinear(opencv::Linear::new(sizes)),
            Resize::OpencvArea if opencv::shrinks(sizes) => {
                How::OpencvArea(opencv::Cells::new(sizes))
            }
            Resize::OpencvArea => How::OpencvLinear(opencv::Linear::growing(sizes)),
        };
        Self { method, sizes, how }
    }

    /// Whether it is this resize.
    pub fn is(&self, method: Resize, from: [usize; 2], to: [usize; 2], channels: usize) -> bool {
        self.method == method && self.sizes == Sizes { from, to, channels }
    }

    /// Resizes `from`, whose size is the one that this was made for, row by row into `rows`.
    ///
    /// # Panics
    /// When the size is another one: a bug of the caller.
    pub fn run(&mut self, from: Pixels<'_>, rows: &mut Rows<'_>) {
        assert_eq!([from.width, from.height], self.sizes.from, "made for this size");
        assert_eq!(from.channels, self.sizes.channels, "made for as many channels");
        match &mut self.how {
            How::Copy => (0..from.height).for_each(|y| rows(y, Row::Bytes(from.row(y)))),
            How::Pillow(convolution) => convolution.run(from, rows),
            How::TensorflowLines(lines) => lines.run(from, rows),
            How::TensorflowArea(cells) => cells.run(from, rows),
            How::OpencvLinear(linear) => linear.run(from, rows),
            How::OpencvArea(cells) => cells.run(from, rows),
        }
    }
}

fn lines(sizes: Sizes, grid: tensorflow::Grid) -> How {
    How::TensorflowLines(tensorflow::Lines::new(sizes, grid))
}

#[cfg(test)]
mod tests;
