# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""fdpp-export: a Hugging Face folder or GGUF file becomes standard ONNX."""

import argparse
import os
import signal
import sys
import traceback
from pathlib import Path

from . import __version__
from .companions import with_chat
from .config import DTYPE_NAMES
from .errors import UserError
from .geometry import TEMPLATES
from .graph import build_model, place
from .progress import Progress
from .sources import open_source
from .tensors import converted
from .writer import MODEL_FILE, check_target, staged, write_data, write_file, write_model

_EPILOG = f"""\
examples:
  fdpp-export ~/models/SmolLM2-135M-Instruct -o smollm2
  fdpp-export SmolLM2-135M-Instruct.Q4_1.gguf -o smollm2 --dtype bf16
  fdpp-export llama-2-7b -o llama --no-weights --layers 2

templates for --no-weights:
  {', '.join(TEMPLATES)}
"""


def main(argv: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    former = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(_parser().parse_args(argv))
    except UserError as error:
        print(f"fdpp-export: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("fdpp-export: error: interrupted, nothing was written", file=sys.stderr)
        return 130
    except Exception:
        traceback.print_exc()
        print("fdpp-export: internal error, please report the lines above", file=sys.stderr)
        return 70
    finally:
        signal.signal(signal.SIGTERM, former)


def _interrupt(*_) -> None:
    raise KeyboardInterrupt


class _Parser(argparse.ArgumentParser):
    """argparse with the project's one-line errors and exit code."""

    def error(self, message: str):
        raise UserError(f"{message}, see --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="fdpp-export",
        description="Write a Llama-family model as ONNX (opset 23): model.onnx,"
        " model.onnx.data and the tokenizer's files.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source",
        metavar="SRC",
        help="Hugging Face folder with safetensors, or .gguf file; with"
        " --no-weights also a config.json or a template's name",
    )
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="folder to write")
    parser.add_argument(
        "--dtype",
        choices=DTYPE_NAMES,
        help="storage type of the weights (default: as the source has them;"
        " quantised GGUF tensors become f32, which is exact)",
    )
    parser.add_argument(
        "--no-weights",
        action="store_true",
        help="declare weights without bytes; compilers make synthetic ones",
    )
    parser.add_argument("--layers", type=int, metavar="N", help="keep the first N layers only")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def _run(args: argparse.Namespace) -> int:
    target = Path(args.output)
    check_target(target)
    source = open_source(args.source, args.layers, not args.no_weights)
    files, chat_warnings = with_chat(source.files)
    for warning in (*source.warnings, *chat_warnings):
        print(f"fdpp-export: warning: {warning}", file=sys.stderr)
    tensors = source.tensors
    if args.dtype is not None:
        tensors = [converted(tensor, args.dtype) for tensor in tensors]
    placed = place(tensors)
    facts = {"source": source.description, "name": source.name}
    model = build_model(source.config, placed, __version__, facts)
    total = sum(tensor.nbytes for tensor in tensors)
    with staged(target) as folder, Progress(total) as progress:
        for name, contents in files.items():
            write_file(folder / name, contents)
        if not args.no_weights:
            write_data(folder, placed, progress)
        write_model(folder, model)
    _report(target, source.config.num_layers, total, args.no_weights)
    return 0


def _report(target: Path, layers: int, total: int, no_weights: bool) -> None:
    size = "no weights" if no_weights else f"{total / 1e6:.1f} MB of weights"
    print(f"wrote {target}: {layers} layers, {size}")
    print(f"next: fdpp-compile {os.path.join(target, MODEL_FILE)}")


if __name__ == "__main__":
    sys.exit(main())
