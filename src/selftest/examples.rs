//! What a bundle's model is given in its golden vectors: windows of rows, or pictures of one size.

use crate::arrays::Array;
use crate::data::{Picture, Tensor, TensorData};
use crate::model::Recipe;
use crate::postprocess::Found;
use crate::predict::{PredictError, Predictor};

/// The array `x`.
pub struct Examples<'a> {
    x: &'a Tensor,
    kind: Kind<'a>,
}

enum Kind<'a> {
    /// `[n, frames, channels]`, with the values of a window.
    Rows(&'a [f32], usize),
    /// `[n, height, width, 3]`, with width and height.
    Pictures(&'a [u8], [usize; 2]),
}

impl<'a> Examples<'a> {
    /// `x` among `arrays`, as `recipe` takes it.
    ///
    /// # Errors
    /// Says what it must be and what it is.
    pub fn of(arrays: &'a [Array], recipe: &Recipe) -> Result<Self, String> {
        let wanted = Self::wanted(recipe);
        let wrong = |why: String| Err(format!("`x` must be {wanted}, {why}"));
        let x = arrays.iter().find(|array| array.name == "x").map(|array| &array.tensor);
        let Some(x) = x else { return wrong("there is none".into()) };
        let is_picture = recipe.picture.is_some();
        let kind = match (x.data(), x.shape()) {
            (TensorData::F32(rows), &[_, frames, channels])
                if !is_picture && (frames, channels) == (recipe.frames, recipe.channels.len()) =>
            {
                Kind::Rows(rows, frames * channels)
            }
            (TensorData::U8(bytes), &[_, height, width, 3]) if is_picture => {
                Kind::Pictures(bytes, [width, height])
            }
            _ => return wrong(format!("it is {} {:?}", x.dtype(), x.shape())),
        };
        if x.data().is_empty() {
            return wrong("it has no window".into());
        }
        Ok(Self { x, kind })
    }

    /// What the array must be.
    pub fn wanted(recipe: &Recipe) -> String {
        match recipe.picture {
            Some(_) => "uint8 [windows, height, width, 3]".into(),
            None => format!("float32 [windows, {}, {}]", recipe.frames, recipe.channels.len()),
        }
    }

    /// Windows, one at least.
    pub fn len(&self) -> usize {
        self.x.shape()[0]
    }

    /// Whether there is none: never.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `count` of them as an array.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn first(&self, count: usize) -> Result<Tensor, crate::data::TensorError> {
        let each = self.x.data().len() / self.len();
        let shape = [&[count], &self.x.shape()[1..]].concat();
        Tensor::new(shape, self.x.data().slice(0, count * each))
    }

    /// Runs window `index` through the bundle; a window that follows none.
    ///
    /// # Errors
    /// By the part that failed.
    pub fn predict(&self, index: usize, with: &mut Predictor) -> Result<Found, PredictError> {
        with.reset();
        match self.kind {
            Kind::Rows(rows, each) => with.predict(&rows[index * each..][..each]),
            Kind::Pictures(bytes, [width, height]) => {
                let each = 3 * width * height;
                let bytes = bytes[index * each..][..each].to_vec();
                match Picture::new(width, height, bytes) {
                    Ok(picture) => with.predict_picture(&picture),
                    Err(why) => Err(PredictError::NotAPicture(why)),
                }
            }
        }
    }
}
