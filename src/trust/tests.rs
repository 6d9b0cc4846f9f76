//! The room as a whole, against a repository in memory that does what an attacker would.

mod advisories;
mod attacks;
mod clocks;
mod downloads;
mod http;
mod mutations;
mod power;
mod roots;
mod world;
