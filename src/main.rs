//! The `edgerun` program: see [`edgerun::cli`].

fn main() -> std::process::ExitCode {
    edgerun::cli::main(std::env::args_os())
}
