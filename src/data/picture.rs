//! Pictures as sensors give them, and where one lies in a model's input.

use std::fmt;
use std::sync::Arc;

/// Most pixels of a picture: 16 megapixels, 48 MiB.
pub const PIXELS_MAX: usize = 1 << 24;

/// A picture: row-major `[height, width, 3]`, red, green, blue, 8 bits each as displays show them (sRGB).
///
/// It travels behind an `Arc`: whoever made it takes its memory back when nobody else holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    bytes: Vec<u8>,
}

/// Bytes that are no picture of the size given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a picture of {width} x {height} is {} bytes and at most {PIXELS_MAX} pixels, found {found} bytes",
    3 * width * height
)]
pub struct NotAPicture {
    width: usize,
    height: usize,
    found: usize,
}

impl Picture {
    /// A picture of `bytes`, row-major `[height, width, 3]`.
    ///
    /// # Errors
    /// When it would have no pixel or too many, or the bytes are more or fewer.
    pub fn new(width: usize, height: usize, bytes: Vec<u8>) -> Result<Self, NotAPicture> {
        let pixels = width.checked_mul(height).filter(|pixels| (1..=PIXELS_MAX).contains(pixels));
        if pixels.map(|pixels| 3 * pixels) != Some(bytes.len()) {
            let (width, height) = (width.min(PIXELS_MAX), height.min(PIXELS_MAX));
            return Err(NotAPicture { width, height, found: bytes.len() });
        }
        Ok(Self { width, height, bytes })
    }

    /// Pixels a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// `[height, width, 3]`.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its memory, for another picture.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({} x {})", self.width, self.height)
    }
}

/// What a window holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Content<'a> {
    /// Row-major `[length, the sensor's channels]`.
    Rows(&'a [f32]),
    /// One picture.
    Picture(&'a Arc<Picture>),
}

impl Content<'_> {
    /// The same, to be kept: rows are copied, a picture is held.
    pub fn keep(self) -> Kept {
        match self {
            Self::Rows(rows) => Kept::Rows(rows.to_vec()),
            Self::Picture(picture) => Kept::Picture(picture.clone()),
        }
    }
}

/// A [`Content`] that stays.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// Row-major `[length, the sensor's channels]`.
    Rows(Vec<f32>),
    /// One picture.
    Picture(Arc<Picture>),
}

impl Kept {
    /// What is kept.
    pub fn content(&self) -> Content<'_> {
        match self {
            Self::Rows(rows) => Content::Rows(rows),
            Self::Picture(picture) => Content::Picture(picture),
        }
    }
}

/// Pictures that were given away, whose memory comes back when nobody else holds them.
#[derive(Debug, Default)]
pub struct PicturePool {
    given: Vec<Arc<Picture>>,
}

impl PicturePool {
    /// Pictures that are remembered; whoever holds more than that frees them.
    const REMEMBERED: usize = 16;

    /// Memory for a picture, with any contents or none.
    pub fn take(&mut self) -> Vec<u8> {
        let free = self.given.iter().position(|picture| Arc::strong_count(picture) == 1);
        let free = free.map(|index| self.given.swap_remove(index));
        free.and_then(Arc::into_inner).map(Picture::into_bytes).unwrap_or_default()
    }

    /// Gives `picture` away.
    pub fn give(&mut self, picture: Picture) -> Arc<Picture> {
        let picture = Arc::new(picture);
        if self.given.len() == Self::REMEMBERED {
            self.given.remove(0);
        }
        self.given.push(picture.clone());
        picture
    }
}

/// A rectangle of whole pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Columns before it.
    pub left: usize,
    /// Rows before it.
    pub top: usize,
    /// Columns of it; at least 1.
    pub width: usize,
    /// Rows of it; at least 1.
    pub height: usize,
}

/// Where a picture lies in a model's input: `cut` of the picture fills `filled` of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Width and height of the picture.
    pub picture: [usize; 2],
    /// What of it is used.
    pub cut: Area,
    /// Width and height of the input.
    pub input: [usize; 2],
    /// Where that lies in the input; the rest is filled with one colour.
    pub filled: Area,
}

impl Placement {
    /// The point of the picture, 0 to 1 of its width and height, that lies at `point` of the input, 0 to 1
    /// likewise. Outside the picture where the input holds none of it.
    pub fn in_picture(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let axis = |at: f32, input: usize, filled: [usize; 2], cut: [usize; 2], picture: usize| {
            let inside = (at * input as f32 - filled[0] as f32) / filled[1] as f32;
            (cut[0] as f32 + inside * cut[1] as f32) / picture as f32
        };
        let (cut, filled) = (self.cut, self.filled);
        [
            axis(
                x,
                self.input[0],
                [filled.left, filled.width],
                [cut.left, cut.width],
                self.picture[0],
            ),
            axis(
                y,
                self.input[1],
                [filled.top, filled.height],
                [cut.top, cut.height],
                self.picture[1],
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_as_many_bytes_as_its_size_says() {
        assert!(Picture::new(2, 1, vec![0; 6]).is_ok());
        assert!(Picture::new(2, 1, vec![0; 5]).is_err());
        assert!(Picture::new(0, 1, vec![]).is_err());
        assert!(Picture::new(usize::MAX, 3, vec![0; 3]).is_err());
    }

    #[test]
    fn memory_comes_back_once_nobody_else_holds_the_picture() {
        let mut pool = PicturePool::default();
        let held = pool.give(Picture::new(1, 1, vec![7; 3]).unwrap());
        assert!(pool.take().is_empty(), "it is held");
        let address = held.bytes().as_ptr();
        drop(held);
        let memory = pool.take();
        assert_eq!((memory.as_ptr(), memory.len()), (address, 3));
        let held: Vec<_> =
            (0..40).map(|_| pool.give(Picture::new(1, 1, vec![7; 3]).unwrap())).collect();
        assert!(pool.given.len() <= PicturePool::REMEMBERED && held.len() == 40);
    }

    #[test]
    fn points_are_found_again_in_the_picture() {
        // 200 x 100, letterboxed into 100 x 100: 25 rows of fill above and below.
        let whole = Area { left: 0, top: 0, width: 200, height: 100 };
        let filled = Area { left: 0, top: 25, width: 100, height: 50 };
        let boxed = Placement { picture: [200, 100], cut: whole, input: [100, 100], filled };
        assert_eq!(boxed.in_picture([0.5, 0.5]), [0.5, 0.5]);
        assert_eq!(boxed.in_picture([1.0, 0.25]), [1.0, 0.0]);
        assert_eq!(boxed.in_picture([0.0, 1.0]), [0.0, 1.5]);
        // Its middle square, cut out.
        let cut = Area { left: 50, top: 0, width: 100, height: 100 };
        let filled = Area { left: 0, top: 0, width: 100, height: 100 };
        let cut = Placement { picture: [200, 100], cut, input: [100, 100], filled };
        assert_eq!(cut.in_picture([0.0, 1.0]), [0.25, 1.0]);
    }
}
