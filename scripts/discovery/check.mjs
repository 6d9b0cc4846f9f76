// Runs check.py in pyodide: node check.mjs FOLDER REPOSITORY [--write]
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, repository, write] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(`${folder}/npm/node_modules/pyodide/pyodide.mjs`));
const python = await loadPyodide();
for (const [from, to] of [
  [`${folder}/python`, "/python"],
  [`${folder}/wheels`, "/wheels"],
  [repository, "/repository"],
]) {
  python.FS.mkdir(to);
  python.FS.mount(python.FS.filesystems.NODEFS, { root: from }, to);
}
try {
  python.globals.set("WRITE", write === "--write");
  for (const part of ["stubs.py", "check.py"]) {
    python.runPython(readFileSync(`${repository}/scripts/discovery/${part}`, "utf8"));
  }
} catch (error) {
  // The Python traceback, without the library's source around it.
  console.error(error.message ?? error);
  process.exit(1);
}
