//! Which array is for which input of the model.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{anyhow, bail};

use crate::arrays::{self, Array};
use crate::data::{Signature, Tensor, TensorSpec};

/// `[NAME=]FILE`: a file of arrays, and the input that it is for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InputArg {
    /// An input's name or its position; by the arrays' own names without it.
    to: Option<String>,
    path: PathBuf,
}

impl FromStr for InputArg {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The name ends at the last `=`, because names of tensors have more of them than files do.
        let (to, path) = match text.rsplit_once('=') {
            Some((name, path)) => (Some(name.to_owned()), path),
            None => (None, text),
        };
        if path.is_empty() || to.as_deref() == Some("") {
            return Err("give FILE, NAME=FILE or 0=FILE");
        }
        Ok(Self { to, path: path.into() })
    }
}

/// One array for each input.
#[derive(Debug, PartialEq)]
pub(crate) struct Bound {
    /// In the signature's order.
    pub(crate) tensors: Vec<Tensor>,
    /// What was in the files and is for no input, one sentence each.
    pub(crate) ignored: Vec<String>,
}

/// Reads the files and gives every input its array.
pub(crate) fn bind(args: &[InputArg], signature: &Signature) -> anyhow::Result<Bound> {
    let mut files = Vec::with_capacity(args.len());
    for arg in args {
        files.push((arg, arrays::read(&arg.path)?));
    }
    assign(files, &signature.inputs)
}

fn assign(files: Vec<(&InputArg, Vec<Array>)>, specs: &[TensorSpec]) -> anyhow::Result<Bound> {
    let mut slots: Vec<Option<Tensor>> = vec![None; specs.len()];
    let mut ignored = Vec::new();
    for (InputArg { to, path }, arrays) in files {
        let path = path.display();
        let listed = arrays.iter().map(|a| a.name.as_str()).collect::<Vec<_>>().join(", ");
        let single = arrays.len() == 1;
        let mut put = |index: usize, tensor: Tensor| {
            let name = &specs[index].name;
            match slots[index].replace(tensor) {
                Some(_) => Err(anyhow!("{path}: input {name} has an array already")),
                None => Ok(()),
            }
        };
        if let Some(to) = to {
            let index = position(to, specs)
                .ok_or_else(|| anyhow!("the model has no input {to}; it takes {}", names(specs)))?;
            let name = &specs[index].name;
            let array = arrays.into_iter().find(|array| single || array.name == *name);
            let array = array.ok_or_else(|| anyhow!("{path} has {listed}, and no {name}"))?;
            put(index, array.tensor)?;
            continue;
        }
        let is_npy = single && arrays[0].name == "arr_0";
        for array in arrays {
            let by_name = specs.iter().position(|spec| spec.name == array.name);
            let place = by_name.or_else(|| match array.name.strip_prefix("arr_") {
                // Files without names are taken in the order in which they are given.
                Some(_) if is_npy => slots.iter().position(Option::is_none),
                Some(number) => number.parse().ok().filter(|&index| index < specs.len()),
                // There is nothing to mistake it for.
                None => (single && specs.len() == 1).then_some(0),
            });
            let name = &array.name;
            match place {
                Some(index) if slots[index].is_some() => {
                    let taken = &specs[index].name;
                    bail!("{path}, array {name}: input {taken} has an array already");
                }
                Some(index) => slots[index] = Some(array.tensor),
                None => ignored.push(format!("{path}: array {name} is not an input; left out")),
            }
        }
    }
    let missing = slots.iter().position(Option::is_none).map(|index| &specs[index].name);
    if let Some(name) = missing {
        let seen =
            if ignored.is_empty() { String::new() } else { format!(" ({})", ignored.join("; ")) };
        bail!(
            "no array for input {name}; the model takes {}: give --input {name}=FILE{seen}",
            names(specs)
        );
    }
    Ok(Bound { tensors: slots.into_iter().flatten().collect(), ignored })
}

fn position(to: &str, specs: &[TensorSpec]) -> Option<usize> {
    let by_name = specs.iter().position(|spec| spec.name == to);
    by_name.or_else(|| to.parse().ok().filter(|&index| index < specs.len()))
}

/// The inputs, as in `x float32 [1, 10], n int64 [1]`.
fn names(specs: &[TensorSpec]) -> String {
    let each = specs.iter().map(|spec| format!("{} {} {:?}", spec.name, spec.dtype, spec.shape));
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DType, TensorData};

    fn spec(name: &str) -> TensorSpec {
        TensorSpec { name: name.into(), dtype: DType::I8, shape: vec![1], quantization: None }
    }

    fn array(name: &str, value: i8) -> Array {
        let tensor = Tensor::new(vec![1], TensorData::I8(vec![value])).unwrap();
        Array { name: name.into(), tensor }
    }

    fn assigned(
        files: &[(&str, &[Array])],
        specs: &[TensorSpec],
    ) -> Result<(Vec<i8>, Vec<String>), String> {
        let args: Vec<InputArg> = files.iter().map(|(arg, _)| arg.parse().unwrap()).collect();
        let files = args.iter().zip(files).map(|(arg, (_, arrays))| (arg, arrays.to_vec()));
        let bound = assign(files.collect(), specs).map_err(|e| e.to_string())?;
        let value = |tensor: &Tensor| match tensor.data() {
            TensorData::I8(values) => values[0],
            _ => unreachable!(),
        };
        Ok((bound.tensors.iter().map(value).collect(), bound.ignored))
    }

    #[test]
    fn arrays_go_by_name_and_what_is_left_is_told() {
        let file = [array("y", 9), array("b", 2), array("a", 1)];
        let (values, ignored) = assigned(&[("f.npz", &file)], &[spec("a"), spec("b")]).unwrap();
        assert_eq!(values, [1, 2]);
        assert_eq!(ignored, ["f.npz: array y is not an input; left out"]);
    }

    #[test]
    fn names_before_the_file_win() {
        let specs = [spec("a"), spec("b:0")];
        let (values, _) =
            assigned(&[("b:0=f.npy", &[array("arr_0", 2)]), ("0=g.npz", &[array("z", 1)])], &specs)
                .unwrap();
        assert_eq!(values, [1, 2]);
        let error = assigned(&[("c=f.npy", &[array("arr_0", 2)])], &specs).unwrap_err();
        assert_eq!(error, "the model has no input c; it takes a int8 [1], b:0 int8 [1]");
    }

    #[test]
    fn files_without_names_go_by_position() {
        let specs = [spec("a"), spec("b")];
        let (values, _) =
            assigned(&[("f.npy", &[array("arr_0", 1)]), ("g.npy", &[array("arr_0", 2)])], &specs)
                .unwrap();
        assert_eq!(values, [1, 2]);
        let file = [array("arr_1", 2), array("arr_0", 1)];
        assert_eq!(assigned(&[("f.npz", &file)], &specs).unwrap().0, [1, 2]);
    }

    #[test]
    fn single_array_fits_a_single_input_whatever_its_name() {
        assert_eq!(assigned(&[("f.npz", &[array("q", 5)])], &[spec("a")]).unwrap().0, [5]);
    }

    #[test]
    fn missing_and_repeated_arrays_are_named() {
        let specs = [spec("a"), spec("b")];
        let error = assigned(&[("f.npz", &[array("a", 1), array("c", 1)])], &specs).unwrap_err();
        assert_eq!(
            error,
            "no array for input b; the model takes a int8 [1], b int8 [1]: give --input b=FILE \
             (f.npz: array c is not an input; left out)"
        );
        let error = assigned(
            &[("a=f.npy", &[array("arr_0", 1)]), ("g.npz", &[array("a", 1), array("b", 1)])],
            &specs,
        )
        .unwrap_err();
        assert_eq!(error, "g.npz, array a: input a has an array already");
    }

    #[test]
    fn argument_is_split_at_its_last_equals_sign() {
        let arg: InputArg = "a=b=f.npy".parse().unwrap();
        assert_eq!((arg.to.as_deref(), arg.path), (Some("a=b"), PathBuf::from("f.npy")));
        assert!("=f.npy".parse::<InputArg>().is_err());
        assert!("a=".parse::<InputArg>().is_err());
    }
}
