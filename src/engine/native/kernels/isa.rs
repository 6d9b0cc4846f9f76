//! Which instructions the kernels use: the best that the CPU has, or what `EDGERUN_ISA` names.

#[cfg(target_arch = "x86_64")]
mod amx;

use std::fmt;

/// The environment variable that forces an instruction set.
pub(crate) const VARIABLE: &str = "EDGERUN_ISA";

/// A set of instructions that kernels are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    /// Plain Rust: the specification, and what runs where nothing else does.
    Scalar,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// AVX2 with 8-bit dot products.
    AvxVnni,
    /// AVX-512 (F, BW, VL) with 8-bit dot products.
    Avx512Vnni,
    /// AVX-512 with tiles (AMX) for products of 8-bit values.
    Amx,
    /// 64-bit ARM: Cortex-A53, A57, A72.
    Neon,
    /// 64-bit ARM with 8-bit dot products: Cortex-A55, A76 and later.
    DotProd,
}

impl Set {
    /// All of them, better ones later.
    pub(crate) const ALL: [Self; 7] = [
        Self::Scalar,
        Self::Avx2,
        Self::AvxVnni,
        Self::Avx512Vnni,
        Self::Amx,
        Self::Neon,
        Self::DotProd,
    ];

    /// The word in `EDGERUN_ISA`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avxvnni",
            Self::Avx512Vnni => "avx512vnni",
            Self::Amx => "amx",
            Self::Neon => "neon",
            Self::DotProd => "dotprod",
        }
    }

    /// Whether this CPU, and its operating system, has it.
    fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => {
                // Tests run its kernels in the encoding of AVX-512 where that is all there is.
                let twin = cfg!(test) && Self::Avx512Vnni.is_available();
                Self::Avx2.is_available() && (is_x86_feature_detected!("avxvnni") || twin)
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => {
                Self::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Amx => Self::Avx512Vnni.is_available() && amx::is_available(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            #[cfg(target_arch = "aarch64")]
            Self::DotProd => {
                Self::Neon.is_available() && std::arch::is_aarch64_feature_detected!("dotprod")
            }
            _ => false,
        }
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An instruction set that this CPU has: only the checks here make one, so kernels may rely on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Isa(Set);

/// `EDGERUN_ISA` names what cannot be run here.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IsaError {
    /// No such set.
    #[error("EDGERUN_ISA names no instruction set: {name:?}; this machine has {available}")]
    Unknown {
        /// As given.
        name: String,
        /// What could be given.
        available: String,
    },
    /// Known, but not here.
    #[error("EDGERUN_ISA: this machine has no {set}; it has {available}")]
    Unavailable {
        /// What was named.
        set: Set,
        /// What could be given.
        available: String,
    },
}

impl Isa {
    /// The specification's.
    pub(crate) const SCALAR: Self = Self(Set::Scalar);

    /// The best that the CPU has.
    pub(crate) fn best() -> Self {
        Self::available().last().unwrap_or(Self::SCALAR)
    }

    /// All that the CPU has, better ones later.
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        Set::ALL.into_iter().filter(|set| set.is_available()).map(Self)
    }

    /// What the environment variable `EDGERUN_ISA` names, otherwise the best.
    ///
    /// # Errors
    /// [`IsaError`] when it names none, or one that the CPU lacks: unset it, or name another.
    pub(crate) fn from_environment() -> Result<Self, IsaError> {
        match std::env::var_os(VARIABLE) {
            None => Ok(Self::best()),
            Some(name) => Self::named(&name.to_string_lossy()),
        }
    }

    /// The set of this name; the best for an empty one.
    ///
    /// # Errors
    /// [`IsaError`] when there is none, or the CPU lacks it.
    pub(crate) fn named(name: &str) -> Result<Self, IsaError> {
        let name = name.trim();
        if name.is_empty() {
            return Ok(Self::best());
        }
        let available = || {
            let names: Vec<_> = Self::available().map(Self::name).collect();
            names.join(", ")
        };
        let set = Set::ALL
            .into_iter()
            .find(|set| set.as_str() == name)
            .ok_or_else(|| IsaError::Unknown { name: name.to_owned(), available: available() })?;
        if !set.is_available() {
            return Err(IsaError::Unavailable { set, available: available() });
        }
        Ok(Self(set))
    }

    /// The word in `EDGERUN_ISA`.
    pub(crate) fn name(self) -> &'static str {
        self.0.as_str()
    }

    /// What its kernels are written for. Tiles only multiply: all else on [`Set::Amx`] is that of the set
    /// before it.
    pub(crate) fn set(self) -> Set {
        if self.has_tiles() { Set::Avx512Vnni } else { self.0 }
    }

    /// Whether products of 8-bit values may go to [`Set::Amx`].
    pub(super) fn has_tiles(self) -> bool {
        self.0 == Set::Amx
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_forced_by_its_name() {
        assert_eq!(Isa::named("scalar"), Ok(Isa::SCALAR));
        assert_eq!(Isa::named(" "), Ok(Isa::best()));
        for isa in Isa::available() {
            assert_eq!(Isa::named(isa.name()), Ok(isa));
        }
    }

    #[test]
    fn an_unknown_or_unavailable_set_is_an_error_that_lists_what_there_is() {
        let error = Isa::named("mmx").unwrap_err().to_string();
        assert!(error.contains("\"mmx\"") && error.contains("scalar"), "{error}");
        let foreign = if cfg!(target_arch = "x86_64") { "neon" } else { "avx2" };
        let error = Isa::named(foreign).unwrap_err().to_string();
        assert!(error.contains(foreign) && error.contains("it has scalar"), "{error}");
    }
}
