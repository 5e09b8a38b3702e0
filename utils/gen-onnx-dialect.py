#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Generate the operators of the onnx dialect from the operator schemas.

Reads the schemas of the Python packages `onnx` (standard domain) and
`onnxruntime` (domain com.microsoft and SimplifiedLayerNormalization), takes
each operator of OPERATORS at its newest version up to MAX_OPSET, and writes

  include/fdpp/Dialect/ONNX/IR/ONNXOps.td.inc   the ODS definitions
  lib/Dialect/ONNX/IR/ONNXSchemas.inc           the same as a C++ table

`--check` compares instead of writing and exits 1 when a file is stale. Both
want the pinned versions of the packages, which utils/setup.sh check installs.
"""
import argparse
import pathlib
import re
import sys

PINNED = {"onnx": "1.23.2", "onnxruntime": "1.31.1"}
MAX_OPSET = 24
SKIPPED = 77  # as test/CMakeLists.txt tells ctest
MS = "com.microsoft"

# Operators, each with one line of what it computes.
OPERATORS = {
    ("", "Abs"): "absolute value of each element",
    ("", "Add"): "elementwise sum, broadcasting",
    ("", "And"): "elementwise logical and, broadcasting",
    ("", "Attention"): "scaled dot-product attention with optional cache",
    ("", "Cast"): "conversion of each element to type `to`",
    ("", "CastLike"): "conversion of each element to the type of another tensor",
    ("", "Ceil"): "each element rounded up",
    ("", "Clip"): "each element limited to a range",
    ("", "Concat"): "tensors laid one after another along an axis",
    ("", "ConstantOfShape"): "a tensor of the given shape filled with one value",
    ("", "Cos"): "cosine of each element",
    ("", "CumSum"): "running sum along an axis",
    ("", "Div"): "elementwise quotient, broadcasting",
    ("", "Equal"): "elementwise equality, broadcasting",
    ("", "Erf"): "error function of each element",
    ("", "Exp"): "exponential of each element",
    ("", "Expand"): "the input broadcast to a shape",
    ("", "Flatten"): "the input as a matrix, split at an axis",
    ("", "Floor"): "each element rounded down",
    ("", "Gather"): "slices picked along an axis by index",
    ("", "GatherElements"): "elements picked along an axis by index",
    ("", "GatherND"): "slices picked by index tuples",
    ("", "Gelu"): "Gaussian error linear unit, exact or by tanh",
    ("", "Gemm"): "alpha A B + beta C, either factor transposed",
    ("", "Greater"): "elementwise a > b, broadcasting",
    ("", "GreaterOrEqual"): "elementwise a >= b, broadcasting",
    ("", "Identity"): "the input itself",
    ("", "IsInf"): "whether each element is infinite",
    ("", "IsNaN"): "whether each element is not a number",
    ("", "LayerNormalization"): "normalisation by mean and variance",
    ("", "Less"): "elementwise a < b, broadcasting",
    ("", "LessOrEqual"): "elementwise a <= b, broadcasting",
    ("", "Log"): "natural logarithm of each element",
    ("", "MatMul"): "matrix product with broadcast leading dimensions",
    ("", "Max"): "elementwise maximum of all inputs, broadcasting",
    ("", "Mean"): "elementwise mean of all inputs, broadcasting",
    ("", "Min"): "elementwise minimum of all inputs, broadcasting",
    ("", "Mod"): "elementwise remainder, broadcasting",
    ("", "Mul"): "elementwise product, broadcasting",
    ("", "Neg"): "negated elements",
    ("", "Not"): "logical not of each element",
    ("", "Or"): "elementwise logical or, broadcasting",
    ("", "Pow"): "elementwise power, broadcasting",
    ("", "RMSNormalization"): "normalisation by the root mean square",
    ("", "Range"): "evenly spaced values from start up to limit",
    ("", "Reciprocal"): "one over each element",
    ("", "ReduceMax"): "maximum over axes",
    ("", "ReduceMean"): "mean over axes",
    ("", "ReduceMin"): "minimum over axes",
    ("", "ReduceProd"): "product over axes",
    ("", "ReduceSum"): "sum over axes",
    ("", "ReduceSumSquare"): "sum of squares over axes",
    ("", "Relu"): "max(x, 0) of each element",
    ("", "Reshape"): "the same elements under another shape",
    ("", "RotaryEmbedding"): "rotation of head dimensions by position",
    ("", "Round"): "each element rounded to even",
    ("", "ScatterElements"): "a copy with elements replaced along an axis",
    ("", "ScatterND"): "a copy with slices replaced by index tuples",
    ("", "Shape"): "the input's extents",
    ("", "Sigmoid"): "logistic function of each element",
    ("", "Sign"): "sign of each element",
    ("", "SimplifiedLayerNormalization"):
        "onnxruntime's name for normalisation by the root mean square",
    ("", "Sin"): "sine of each element",
    ("", "Size"): "the input's number of elements",
    ("", "Slice"): "a strided part of the input",
    ("", "Softmax"): "softmax along an axis",
    ("", "Softplus"): "log(1 + e^x) of each element",
    ("", "Split"): "the input cut into parts along an axis",
    ("", "Sqrt"): "square root of each element",
    ("", "Squeeze"): "the input without unit dimensions",
    ("", "Sub"): "elementwise difference, broadcasting",
    ("", "Sum"): "elementwise sum of all inputs, broadcasting",
    ("", "Swish"): "x sigmoid(alpha x) of each element",
    ("", "Tanh"): "hyperbolic tangent of each element",
    ("", "TensorScatter"): "a cache with an update written at given indices",
    ("", "Tile"): "the input repeated along each axis",
    ("", "Transpose"): "the input with permuted dimensions",
    ("", "Trilu"): "the upper or lower triangle of matrices",
    ("", "Unsqueeze"): "the input with unit dimensions inserted",
    ("", "Where"): "elementwise choice by a condition, broadcasting",
    (MS, "FastGelu"): "Gaussian error linear unit by tanh, optional bias",
    (MS, "GroupQueryAttention"): "attention with grouped heads and cache",
    (MS, "MatMulNBits"): "matrix product with a block-quantised weight",
    (MS, "MultiHeadAttention"): "attention over packed heads",
    (MS, "QuickGelu"): "x sigmoid(alpha x) of each element",
    (MS, "RotaryEmbedding"): "rotation of head dimensions by position",
    (MS, "SkipLayerNormalization"): "sum with a skip input, then LayerNorm",
    (MS, "SkipSimplifiedLayerNormalization"):
        "sum with a skip input, then normalisation by the root mean square",
}

# ONNX element types in the order they are printed; others (strings, complex
# numbers, sequences) cannot appear in the IR.
ELEMENT_TYPES = {
    "bool": "I1", "int2": "ONNX_I2", "int4": "ONNX_I4", "int8": "I8",
    "int16": "I16", "int32": "I32", "int64": "I64", "uint2": "ONNX_UI2",
    "uint4": "ONNX_UI4", "uint8": "UI8", "uint16": "UI16", "uint32": "UI32",
    "uint64": "UI64", "float4e2m1": "ONNX_F4E2M1FN",
    "float8e4m3fn": "F8E4M3FN", "float8e4m3fnuz": "F8E4M3FNUZ",
    "float8e5m2": "F8E5M2", "float8e5m2fnuz": "F8E5M2FNUZ",
    "float8e8m0": "F8E8M0FNU", "float16": "F16", "bfloat16": "BF16",
    "float": "F32", "double": "F64",
}
LICENSE = "SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception"


class Schema:
    """The parts of one operator schema that the dialect keeps."""

    def __init__(self, domain, name, version, history, inputs, outputs, attrs,
                 types):
        self.domain, self.name, self.version = domain, name, version
        self.history = history
        self.inputs, self.outputs = inputs, outputs  # (name, kind, type)
        self.attrs = attrs  # (name, kind, required, default or None)
        self.types = types  # type variable -> [element type]

    @property
    def mnemonic(self):
        return f"microsoft.{self.name}" if self.domain == MS else self.name

    @property
    def cpp_class(self):
        prefix = "Microsoft" if self.domain == MS else ""
        return f"{prefix}{self.name}Op"

    @property
    def link(self):
        if self.domain == MS or self.name == "SimplifiedLayerNormalization":
            return ("https://github.com/microsoft/onnxruntime/blob/main/docs/"
                    "ContribOperators.md")
        return f"https://onnx.ai/onnx/operators/onnx__{self.name}.html"


def option(value):
    return re.sub(r".*\.|:.*|>", "", str(value)).lower()  # single, optional..


def element_types(allowed):
    found = {re.fullmatch(r"tensor\((\w+)\)", t) for t in allowed}
    names = {m.group(1) for m in found if m}
    return [t for t in ELEMENT_TYPES if t in names]


def default_of(proto):
    import onnx
    if isinstance(proto, bytes):
        proto = onnx.AttributeProto.FromString(proto)
    if proto is None or proto.type == onnx.AttributeProto.UNDEFINED:
        return None
    return onnx.helper.get_attribute_value(proto)


def make_schema(raw, domain, history, type_of, default):
    types = {c.type_param_str: element_types(c.allowed_type_strs)
             for c in raw.type_constraints}
    attrs = [(a.name, option(a.type), a.required, default(a))
             for _, a in sorted(raw.attributes.items())]
    ports = lambda ps: [(p.name, option(p.option), type_of(p)) for p in ps]
    return Schema(domain, raw.name, raw.since_version, history,
                  ports(raw.inputs), ports(raw.outputs), attrs, types)


def load_schemas():
    import onnx.defs
    from onnxruntime.capi.onnxruntime_pybind11_state import \
        get_all_operator_schema
    history = {}
    for s in onnx.defs.get_all_schemas_with_history():
        history.setdefault((s.domain, s.name), []).append(s.since_version)
    contributed = {(s.domain, s.name): s for s in get_all_operator_schema()}
    schemas = []
    for domain, name in OPERATORS:
        key = (domain, name)
        if key in history:
            raw = onnx.defs.get_schema(name, MAX_OPSET, domain)
            schemas.append(make_schema(raw, domain, sorted(history[key]),
                                       lambda p: p.type_str,
                                       lambda a: default_of(a.default_value)))
        else:
            schemas.append(make_schema(
                contributed[key], domain, [1], lambda p: p.typeStr,
                lambda a: default_of(a._default_value)))
    return schemas


def allowed(schema, type_str):
    names = schema.types.get(type_str) or element_types([type_str])
    if not names:
        sys.exit(f"{schema.name}: no element type for {type_str}")
    return names


def td_type(schema, port):
    _, kind, type_str = port
    elements = ", ".join(ELEMENT_TYPES[t] for t in allowed(schema, type_str))
    base = f"TensorOf<[{elements}]>"
    wrap = {"single": "{}", "optional": "Optional<{}>",
            "variadic": "Variadic<{}>"}
    return wrap[kind].format(base)


def cpp_float(value):
    return f"{value:.9g}" if "." in f"{value:.9g}" or "e" in f"{value:.9g}" \
        else f"{value:.1f}"


def td_attr(attr):
    name, kind, required, default = attr
    base = {"int": "ONNX_IntAttr", "float": "ONNX_FloatAttr",
            "string": "StrAttr", "ints": "DenseI64ArrayAttr",
            "tensor": "ElementsAttr"}[kind]
    if required:
        return base
    if default is None:
        return f"OptionalAttr<{base}>"
    if kind == "string":
        # Quoted twice: once for TableGen, once for C++.
        return f'DefaultValuedAttr<{base}, "\\"{default.decode()}\\"">'
    text = cpp_float(default) + "f" if kind == "float" else str(default)
    return f'DefaultValuedAttr<{base}, "{text}">'


def td_op(schema):
    traits = []
    if sum(kind != "single" for _, kind, _ in schema.inputs) > 1:
        traits.append("AttrSizedOperandSegments")
    if sum(kind != "single" for _, kind, _ in schema.outputs) > 1:
        traits.append("AttrSizedResultSegments")
    args = [f"{td_type(schema, p)}:${p[0]}" for p in schema.inputs]
    args += [f"{td_attr(a)}:${a[0]}" for a in schema.attrs]
    results = [f"{td_type(schema, p)}:${p[0]}" for p in schema.outputs]
    join = lambda parts: ",\n    ".join(parts)
    where = f"opset {schema.version}" if schema.domain == "" else MS
    if schema.name == "SimplifiedLayerNormalization":
        where = "onnxruntime"
    summary = OPERATORS[(schema.domain, schema.name)]
    return f"""
def ONNX_{schema.cpp_class} : ONNX_Op<"{schema.mnemonic}", [{
    ", ".join(traits)}]> {{
  let summary = "{summary}";
  let description = [{{
    Operator `{schema.name}` of {where}: {schema.link}
  }}];
  let arguments = (ins
    {join(args)});
  let results = (outs
    {join(results)});
}}
"""


def cpp_string(text):
    return '"' + text + '"'


def cpp_ports(schema, ports):
    variables = sorted({t for _, _, t in schema.inputs + schema.outputs
                        if t in schema.types})
    rows = []
    for name, kind, type_str in ports:
        variable = variables.index(type_str) if type_str in variables else -1
        names = allowed(schema, type_str)
        only = cpp_string(names[0]) if len(names) == 1 else '""'
        rows.append(f"{{{cpp_string(name)}, PortKind::{kind.capitalize()}, "
                    f"{variable}, {only}}}")
    return rows


def cpp_attr(attr):
    name, kind, required, default = attr
    text = default.decode() if kind == "string" and default else ""
    value = 0 if default is None or kind == "string" else default
    value = cpp_float(value) if kind == "float" else str(value)
    flag = lambda b: "true" if b else "false"
    return (f"{{{cpp_string(name)}, AttrKind::{kind.capitalize()}, "
            f"{flag(required)}, {flag(default is not None)}, {value}, "
            f"{cpp_string(text)}}}")


def cpp_schema(schema):
    c = schema.cpp_class
    inputs = cpp_ports(schema, schema.inputs)
    outputs = cpp_ports(schema, schema.outputs)
    attrs = [cpp_attr(a) for a in schema.attrs]
    versions = ", ".join(map(str, schema.history))

    def array(kind, suffix, rows):
        if not rows:
            return "", "{}"
        body = ",\n    ".join(rows)
        name = f"k{c}{suffix}"
        return f"constexpr {kind} {name}[] = {{\n    {body}}};\n", name

    text = []
    refs = []
    for kind, suffix, rows in (("SchemaPort", "Inputs", inputs),
                               ("SchemaPort", "Outputs", outputs),
                               ("SchemaAttr", "Attrs", attrs)):
        declaration, ref = array(kind, suffix, rows)
        text.append(declaration)
        refs.append(ref)
    text.append(f"constexpr int k{c}Versions[] = {{{versions}}};\n")
    text.append(
        f"const OpSchema k{c}Schema = {{{cpp_string(schema.domain)}, "
        f"{cpp_string(schema.name)}, {cpp_string('onnx.' + schema.mnemonic)},"
        f"\n    {schema.version}, k{c}Versions, {', '.join(refs)}}};\n")
    return "".join(text)


def render(schemas):
    note = "Generated by utils/gen-onnx-dialect.py from " + ", ".join(
        f"{k} {v}" for k, v in PINNED.items()) + "; do not edit."
    td = f"// {LICENSE}\n// {note}\n" + "".join(map(td_op, schemas))
    table = "".join(cpp_schema(s) + "\n" for s in schemas)
    all_ = "".join(f"    &k{s.cpp_class}Schema,\n" for s in schemas)
    cpp = (f"// {LICENSE}\n// {note}\n// clang-format off\n"
           f"namespace {{\n\n{table}"
           f"const OpSchema *const kAllSchemas[] = {{\n{all_}}};\n\n"
           f"}} // namespace\n")
    return {"include/fdpp/Dialect/ONNX/IR/ONNXOps.td.inc": td,
            "lib/Dialect/ONNX/IR/ONNXSchemas.inc": cpp}


def installed_are_pinned():
    from importlib.metadata import PackageNotFoundError, version
    try:
        return all(version(k) == v for k, v in PINNED.items())
    except PackageNotFoundError:
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    if args.check and sys.version_info < (3, 11):
        print("skipped: Python 3.10 has no onnxruntime " + PINNED["onnxruntime"])
        return SKIPPED
    if not installed_are_pinned():
        pins = " ".join(f"{k}=={v}" for k, v in PINNED.items())
        print(f"gen-onnx-dialect: needs {pins}; run utils/setup.sh check",
              file=sys.stderr)
        return 1
    root = pathlib.Path(__file__).resolve().parent.parent
    stale = []
    for path, text in render(load_schemas()).items():
        if not args.check:
            (root / path).write_text(text)
        elif (root / path).read_text() != text:
            stale.append(path)
    if stale:
        print(f"stale: {', '.join(stale)}; run utils/gen-onnx-dialect.py",
              file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
