//! Picture → input tensor: cut, resized, coloured and quantized row by row, straight into the tensor.

mod fit;
pub mod resize;
#[cfg(test)]
mod tests;
mod write;

pub use fit::place;

use crate::data::{Picture, Placement, Tensor, TensorError, TensorSpec};
use crate::model::{Color, Fit, PictureLayout, PictureRecipe};
use resize::{Pixels, Resizer};
use write::Writer;

/// A picture's recipe made ready for one model. Memory is taken when the size of the pictures changes.
#[derive(Clone, Debug)]
pub struct PicturePreprocessor {
    recipe: PictureRecipe,
    writer: Writer,
    resizer: Option<Resizer>,
    gray: Vec<u8>,
}

impl PicturePreprocessor {
    /// `recipe` for the model's input `spec`; their sizes were compared by `Manifest::parse`.
    ///
    /// # Errors
    /// When the input's element type takes no pixels.
    pub fn new(recipe: &PictureRecipe, spec: &TensorSpec) -> Result<Self, TensorError> {
        let writer = Writer::new(recipe, spec)?;
        Ok(Self { recipe: recipe.clone(), writer, resizer: None, gray: Vec::new() })
    }

    /// A black picture as large as the input.
    pub fn black(&self) -> Picture {
        let PictureLayout { width, height, .. } = self.recipe.layout;
        Picture::new(width, height, vec![0; 3 * width * height])
            .unwrap_or_else(|why| unreachable!("inputs are smaller than pictures may be: {why}"))
    }

    /// Runs the recipe on `picture` into `input`; says where it lies there.
    ///
    /// # Errors
    /// When the tensor is not the model's.
    pub fn apply(
        &mut self,
        picture: &Picture,
        input: &mut Tensor,
    ) -> Result<Placement, TensorError> {
        let size = [picture.width(), picture.height()];
        let layout = self.recipe.layout;
        let place = place(self.recipe.fit, size, [layout.width, layout.height]);
        if let Fit::Letterbox(color) = self.recipe.fit {
            match self.recipe.color {
                Color::Gray => self.writer.fill(&[luma(color)], input)?,
                Color::Rgb | Color::Bgr => self.writer.fill(&color, input)?,
            }
        }
        let channels = self.recipe.color.channels();
        let bytes = match self.recipe.color {
            Color::Rgb | Color::Bgr => picture.bytes(),
            Color::Gray => {
                let (pixels, _) = picture.bytes().as_chunks::<3>();
                self.gray.clear();
                self.gray.extend(pixels.iter().map(|&pixel| luma(pixel)));
                &self.gray
            }
        };
        let (cut, filled) = (place.cut, place.filled);
        let (from, to) = ([cut.width, cut.height], [filled.width, filled.height]);
        let resizer = match &mut self.resizer {
            Some(resizer) if resizer.is(self.recipe.resize, from, to, channels) => resizer,
            other => other.insert(Resizer::new(self.recipe.resize, from, to, channels)),
        };
        let stride = size[0] * channels;
        let bytes = &bytes[cut.top * stride + cut.left * channels..];
        let pixels = Pixels { bytes, stride, width: cut.width, height: cut.height, channels };
        let mut written = Ok(());
        resizer.run(pixels, &mut |y, row| {
            if written.is_ok() {
                written = self.writer.row([filled.left, filled.top + y], row, input);
            }
        });
        written.map(|()| place)
    }
}

/// Luma of a pixel. Source: Pillow, `src/libImaging/Convert.c`, `L24` (ITU-R BT.601).
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let sum = 19595 * u32::from(red) + 38470 * u32::from(green) + 7471 * u32::from(blue);
    ((sum + 0x8000) >> 16) as u8
}
