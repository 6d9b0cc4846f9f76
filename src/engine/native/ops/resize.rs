//! Resizing of images: nearest pixels, or straight lines between neighbours.

mod bilinear;
mod nearest;

pub(super) use self::bilinear::Bilinear;
pub(super) use self::nearest::Nearest;
use super::{Entry, Kind, Refusal, Site, malformed, nhwc};
use crate::engine::native::graph::Shape;
use crate::engine::native::tflite::Options;

const KINDS: &[Kind] = &[Kind::Float32, Kind::Int8, Kind::Uint8, Kind::Int16];
const BOTH: &[&str] = &["false", "true"];
const ATTRIBUTES: &[(&str, &[&str])] = &[("align_corners", BOTH), ("half_pixel_centers", BOTH)];

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "RESIZE_BILINEAR",
        options: 15,
        lower: |options| {
            // ResizeBilinearOptions: two fields of old, align corners, half-pixel centers.
            let corners = corners(options, [2, 3])?;
            if corners.align && corners.half {
                return Err(malformed("both align_corners and half_pixel_centers"));
            }
            Ok(Box::new(Bilinear { corners }))
        },
        kinds: KINDS,
        attributes: ATTRIBUTES,
    },
    Entry {
        name: "RESIZE_NEAREST_NEIGHBOR",
        options: 74,
        // ResizeNearestNeighborOptions: align corners, half-pixel centers.
        lower: |options| Ok(Box::new(Nearest { corners: corners(options, [0, 1])? })),
        kinds: KINDS,
        attributes: ATTRIBUTES,
    },
];

/// Which points of input and output lie on one another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Corners {
    /// The centers of the corner pixels; otherwise the image's edges.
    pub(super) align: bool,
    /// Pixels are where their centers are; otherwise where their upper left corners are.
    pub(super) half: bool,
}

fn corners(options: &Options<'_>, [align, half]: [usize; 2]) -> Result<Corners, Refusal> {
    Ok(Corners { align: options.byte(align, 0)? != 0, half: options.byte(half, 0)? != 0 })
}

impl Corners {
    /// Input pixels for each output pixel.
    fn scale(self, from: usize, to: usize) -> f32 {
        if self.align && to > 1 {
            (from - 1) as f32 / (to - 1) as f32
        } else {
            from as f32 / to as f32
        }
    }
}

/// The larger sides of images would not be exact in `f32`.
const SIDE_MAX: usize = 1 << 20;

/// The output's shape: as high and wide as the constant second input says.
fn shape(site: &Site<'_>) -> Result<Shape, Refusal> {
    let [images, height, width, channels] = nhwc(site.input(0)?, "the input")?;
    let size = site.integers(1)?;
    let side = |side: i64| {
        let side = usize::try_from(side).ok().filter(|side| (1..=SIDE_MAX).contains(side));
        side.ok_or_else(|| malformed(format!("a size of {size:?}")))
    };
    let [rows, columns] = size[..] else {
        return Err(malformed(format!("a size of {} numbers", size.len())));
    };
    if images * channels == 0 || [height, width].iter().any(|side| !(1..=SIDE_MAX).contains(side)) {
        return Err(malformed(format!("an image of {height} x {width}")));
    }
    Ok(vec![images, side(rows)?, side(columns)?, channels])
}
