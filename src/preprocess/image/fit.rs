//! Which part of a picture fills which part of the input.

use crate::data::{Area, Placement};
use crate::model::Fit;

/// Where a picture of width and height `picture` lies in an input of width and height `input`.
///
/// Sizes are rounded to whole pixels, halves up; an odd pixel of the margin is right or below.
pub fn place(fit: Fit, picture: [usize; 2], input: [usize; 2]) -> Placement {
    let whole = |[width, height]: [usize; 2]| Area { left: 0, top: 0, width, height };
    let (cut, filled) = match fit {
        Fit::Stretch => (whole(picture), whole(input)),
        Fit::Crop => (inside(picture, input), whole(input)),
        Fit::Letterbox(_) => (whole(picture), inside(input, picture)),
    };
    Placement { picture, cut, input, filled }
}

/// The largest area with the ratio of `like` in the middle of `outer`.
fn inside(outer: [usize; 2], like: [usize; 2]) -> Area {
    let [width, height] = outer;
    // Sizes are at most 2^24.
    let scaled = |side: usize, by: usize, of: usize| ((2 * side * by + of) / (2 * of)).max(1);
    let (width, height) = if width * like[1] > height * like[0] {
        (scaled(like[0], height, like[1]).min(width), height)
    } else {
        (width, scaled(like[1], width, like[0]).min(height))
    };
    Area { left: (outer[0] - width) / 2, top: (outer[1] - height) / 2, width, height }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn areas(fit: Fit, picture: [usize; 2], input: [usize; 2]) -> [[usize; 4]; 2] {
        let Placement { cut, filled, .. } = place(fit, picture, input);
        [cut, filled].map(|area| [area.left, area.top, area.width, area.height])
    }

    #[test]
    fn stretching_uses_all_of_both() {
        let areas = areas(Fit::Stretch, [640, 480], [224, 224]);
        assert_eq!(areas, [[0, 0, 640, 480], [0, 0, 224, 224]]);
    }

    #[test]
    fn a_crop_is_the_middle_of_the_longer_side() {
        let crop = |picture, input| areas(Fit::Crop, picture, input)[0];
        assert_eq!(crop([640, 480], [224, 224]), [80, 0, 480, 480]);
        assert_eq!(crop([481, 640], [224, 224]), [0, 79, 481, 481]);
        assert_eq!(crop([640, 480], [320, 240]), [0, 0, 640, 480]);
        assert_eq!(crop([1000, 1], [1, 1000]), [499, 0, 1, 1]);
    }

    #[test]
    fn a_letterbox_leaves_margins_on_both_sides() {
        let boxed = |picture, input| areas(Fit::Letterbox([0; 3]), picture, input)[1];
        assert_eq!(boxed([640, 480], [320, 320]), [0, 40, 320, 240]);
        assert_eq!(boxed([480, 640], [320, 320]), [40, 0, 240, 320]);
        assert_eq!(boxed([100, 33], [10, 10]), [0, 3, 10, 3]);
        assert_eq!(boxed([1, 1000], [10, 10]), [4, 0, 1, 10]);
    }
}
