#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Prints a @step in the raised form, as raising an ONNX graph gives it.

For tests that vary the structure: number of layers, heads, biases, tied
embedding, alternating attention windows.
"""
import argparse


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--layers", type=int, default=2)
    add("--heads", type=int, default=4)
    add("--kv-heads", type=int, default=2)
    add("--head-dim", type=int, default=4)
    add("--ffn", type=int, default=24)
    add("--vocab", type=int, default=32)
    add("--page-tokens", type=int, default=4)
    add("--max-tokens", type=int, default=32)
    add("--max-sequences", type=int, default=4)
    add("--dtype", default="f32", help="element type of the weights")
    add("--tied", action="store_true", help="lm_head shares the embedding")
    add("--bias", choices=["none", "qkv", "q", "all"], default="none")
    add("--windows", type=int, nargs="+", default=[0],
        help="attention windows, repeated over the layers")
    add("--eps", type=float, nargs="+", default=[1e-5],
        help="of the norms in front of attention, repeated over the layers")
    add("--thetas", type=float, nargs="+", default=[10000.0],
        help="rotary bases, repeated over the layers; each makes a table")
    add("--rotary-dim", type=int, help="elements of a head that turn")
    add("--layer-norm", choices=["none", "beta", "plain"], default="none",
        help="layer norms in the place of RMS norms")
    add("--embedding-scale", type=float, default=1.0)
    add("--softcap", type=float, default=0.0, help="of the logits")
    add("--interleaved", action="store_true", help="rotary pairs (2j, 2j+1)")
    add("--late-tables", action="store_true",
        help="compute the rotary tables where they are first used")
    add("--transposed", action="store_true",
        help="linears' weights are stored as [K, N]")
    add("--up-first", action="store_true", help="compute up before gate")
    return parser.parse_args()


def number(value):
    """A float as MLIR reads it: 1.0e-5."""
    mantissa, _, exponent = repr(float(value)).partition("e")
    point = "" if "." in mantissa else ".0"
    return mantissa + point + (f"e{int(exponent)}" if exponent else "")


class Step:
    """Collects the weights and the body of one step."""

    def __init__(self, arguments):
        self.a = arguments
        self.hidden = arguments.heads * arguments.head_dim
        self.kv = arguments.kv_heads * arguments.head_dim
        self.half = (arguments.rotary_dim or arguments.head_dim) // 2
        self.weights, self.body, self.values = [], [], 0
        a = arguments
        self.cache_type = (f"tensor<{a.layers}x?x2x{a.kv_heads}"
                           f"x{a.page_tokens}x{a.head_dim}xf32>")

    def weight(self, name, shape, dtype=None):
        """Declares a weight and gives (value, type) of an access to it."""
        kind = f"tensor<{'x'.join(map(str, shape))}x{dtype or self.a.dtype}>"
        line = f'  fdpp.weight @"{name}" [#fdpp.seeded<{{}}>] : {kind}'
        if not any(f'@"{name}" ' in known for known in self.weights):
            self.weights.append(line.format(len(self.weights) + 1))
        value = self.value()
        self.body.append(f'{value} = fdpp.weight_at @"{name}" : {kind}')
        return value, kind

    def matrix(self, name, rows, columns):
        """The weight of a linear, possibly through its transpose."""
        if not self.a.transposed:
            return self.weight(name, [rows, columns])
        stored = f"tensor<{columns}x{rows}x{self.a.dtype}>"
        kind = f"tensor<{rows}x{columns}x{self.a.dtype}>"
        self.weights += [
            f'  fdpp.weight @"{name}.kn" '
            f"[#fdpp.seeded<{len(self.weights) + 1}>] : {stored}",
            f'  fdpp.weight @"{name}" init {{\n  ^bb0(%layer: index):\n'
            f'    %0 = fdpp.weight_at @"{name}.kn" : {stored}\n'
            f"    %1 = fdpp.transpose %0 : {stored} -> {kind}\n"
            f"    fdpp.yield %1 : {kind}\n  }} : {kind}"]
        value = self.value()
        self.body.append(f'{value} = fdpp.weight_at @"{name}" : {kind}')
        return value, kind

    def value(self):
        self.values += 1
        return f"%{self.values - 1}"

    def op(self, text, operands, result, attributes=""):
        """Appends an op on (value, type) pairs; gives its (value, type)."""
        value = self.value()
        names = text.format(*[name for name, _ in operands])
        types = ", ".join(kind for _, kind in operands)
        self.body.append(f"{value} = fdpp.{names}{attributes} "
                         f": ({types}) -> {result}")
        return value, result

    def activations(self, width):
        return f"tensor<?x{width}xf32>"

    def norm(self, x, name, eps=1e-5):
        gamma = self.weight(name, [self.hidden], "f32")
        attributes = f" {{eps = {number(eps)} : f64}}"
        result = self.activations(self.hidden)
        if self.a.layer_norm == "none":
            return self.op("rms_norm {}, {}", [x, gamma], result, attributes)
        if self.a.layer_norm == "plain":
            return self.op("layer_norm {}, {}", [x, gamma], result, attributes)
        beta = self.weight(name + ".beta", [self.hidden], "f32")
        return self.op("layer_norm {}, {} beta({})", [x, gamma, beta], result,
                       attributes)

    def linear(self, x, name, rows, columns, bias=False):
        weight = self.matrix(name + ".weight", rows, columns)
        if not bias:
            return self.op("linear {}, {}", [x, weight],
                           self.activations(rows))
        vector = self.weight(name + ".bias", [rows], "f32")
        return self.op("linear {}, {} bias({})", [x, weight, vector],
                       self.activations(rows))

    def rope(self, x, width, layer):
        number = layer % len(self.a.thetas) or ""
        attributes = f" {{head_dim = {self.a.head_dim} : i64"
        attributes += ", interleaved}" if self.a.interleaved else "}"
        table = f"tensor<?x{self.half}xf32>"
        return self.op("rope {}, {}, {}",
                       [x, (f"%cos{number}", table), (f"%sin{number}", table)],
                       self.activations(width), attributes)

    def attention_block(self, x, cache, layer):
        name = f"model.layers.{layer}.self_attn."
        biased = self.a.bias
        h = self.norm(x, f"model.layers.{layer}.input_layernorm.weight",
                      self.a.eps[layer % len(self.a.eps)])
        q = self.linear(h, name + "q_proj", self.hidden, self.hidden,
                        biased != "none")
        k = self.linear(h, name + "k_proj", self.kv, self.hidden,
                        biased in ("qkv", "all"))
        v = self.linear(h, name + "v_proj", self.kv, self.hidden,
                        biased in ("qkv", "all"))
        if self.a.late_tables and layer == 0:
            self.tables()
        q = self.rope(q, self.hidden, layer)
        k = self.rope(k, self.kv, layer)
        index = self.value()
        self.body.append(f"{index} = arith.constant {layer} : index")
        ints, layer_index = "tensor<?xi32>", (index, "index")
        cache = self.op("kv_append {}, {}, {}, {} outs({})",
                        [k, v, ("%slots", ints), layer_index, cache],
                        self.cache_type)
        window = self.a.windows[layer % len(self.a.windows)]
        attributes = f" {{scale = {self.a.head_dim ** -0.5} : f64"
        attributes += f", window = {window} : i64}}" if window else "}"
        out = self.op("attention {}, {}, {}, {}, {}, {}",
                      [q, cache, layer_index, ("%seq_offsets", ints),
                       ("%context", ints), ("%pages", "tensor<?x?xi32>")],
                      self.activations(self.hidden), attributes)
        out = self.linear(out, name + "o_proj", self.hidden, self.hidden,
                          biased == "all")
        return self.add(x, out), cache

    def ffn_block(self, x, layer):
        name = f"model.layers.{layer}."
        h = self.norm(x, name + "post_attention_layernorm.weight")
        order = ["up", "gate"] if self.a.up_first else ["gate", "up"]
        parts = {part: self.linear(h, f"{name}mlp.{part}_proj", self.a.ffn,
                                   self.hidden, self.a.bias == "all")
                 for part in order}
        g = self.op("glu {}, {}", [parts["gate"], parts["up"]],
                    self.activations(self.a.ffn),
                    " {activation = #fdpp.activation<silu>}")
        return self.add(x, self.linear(g, name + "mlp.down_proj", self.hidden,
                                       self.a.ffn, self.a.bias == "all"))

    def add(self, x, y):
        return self.op("add {}, {}", [x, y], self.activations(self.hidden))

    def head(self, x):
        """Logits of the wanted rows, in their destination."""
        rows = self.op("select_rows {}, {}", [x, ("%rows", "tensor<?xi32>")],
                       self.activations(self.hidden))
        h = self.norm(rows, "model.norm.weight")
        name = "model.embed_tokens" if self.a.tied else "lm_head"
        weight = self.weight(name + ".weight", [self.a.vocab, self.hidden])
        result = self.activations(self.a.vocab)
        destination = ("%logits", result)
        if not self.a.softcap:
            return self.op("linear {}, {} outs({})", [h, weight, destination],
                           result)
        logits = self.op("linear {}, {}", [h, weight], result)
        return self.op("softcap {} outs({})", [logits, destination], result,
                       f" {{cap = {self.a.softcap} : f64}}")

    def tables(self):
        """Cosines and sines of the step's angles."""
        for number, theta in enumerate(self.a.thetas):
            self.table(number or "", theta)

    def table(self, number, theta):
        half = self.half
        frequencies = ", ".join(repr(theta ** (-i / half))
                                for i in range(half))
        name = f"inv_freq{number}"
        self.weights.append(f'  fdpp.weight @"{name}" [dense<[{frequencies}]>'
                            f" : tensor<{half}xf32>] : tensor<{half}xf32>")
        self.body += [
            f'%{name} = fdpp.weight_at @"{name}" : tensor<{half}xf32>',
            f"%cos{number}, %sin{number} = fdpp.rope_table %positions, %{name} "
            f": (tensor<?xi32>, tensor<{half}xf32>) "
            f"-> (tensor<?x{half}xf32>, tensor<?x{half}xf32>)"]

    def prologue(self):
        """What is computed once a step: rotary tables and cache slots."""
        if not self.a.late_tables:
            self.tables()
        self.body.append(
            "%slots = fdpp.token_slots %tokens, %seq_offsets, %context, %pages "
            f"{{page_tokens = {self.a.page_tokens} : i64}} "
            ": (tensor<?xi32>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) "
            "-> tensor<?xi32>")

    def signature(self):
        tokens, sequences = self.a.max_tokens, self.a.max_sequences
        ints = "tensor<?xi32>"
        arguments = [("tokens", ints, tokens), ("positions", ints, tokens),
                     ("seq_offsets", ints, sequences + 1),
                     ("context", ints, sequences),
                     ("pages", "tensor<?x?xi32>", sequences),
                     ("rows", ints, tokens), ("cache", self.cache_type, None),
                     ("logits", self.activations(self.a.vocab), tokens)]
        lines = []
        for name, kind, most in arguments:
            limit = "" if most is None else f", fdpp.max = {most} : i64"
            lines.append(f'      %{name}: {kind} '
                         f'{{fdpp.role = "{name}"{limit}}}')
        return ",\n".join(lines)

    def build(self):
        self.prologue()
        table = self.weight("model.embed_tokens.weight",
                            [self.a.vocab, self.hidden])
        x = self.op("embed {}, {}", [("%tokens", "tensor<?xi32>"), table],
                    self.activations(self.hidden))
        if self.a.embedding_scale != 1:
            x = self.op("scale {}", [x], self.activations(self.hidden),
                        f" {{factor = {number(self.a.embedding_scale)} : f64}}")
        cache = ("%cache", self.cache_type)
        for layer in range(self.a.layers):
            x, cache = self.attention_block(x, cache, layer)
            x = self.ffn_block(x, layer)
        logits = self.head(x)
        a, types = self.a, f"{logits[1]}, {self.cache_type}"
        return "\n".join([
            "module attributes {fdpp.model = #fdpp.model<"
            f"layers = {a.layers}, hidden = {self.hidden}, "
            f"queryHeads = {a.heads}, kvHeads = {a.kv_heads}, "
            f"headDim = {a.head_dim}, vocab = {a.vocab}, "
            f"pageTokens = {a.page_tokens}>}} {{", *self.weights,
            "  func.func @step(", self.signature() + ")",
            f"      -> ({types}) attributes {{fdpp.entry = \"step\"}} {{",
            *["    " + line for line in self.body],
            f"    return {logits[0]}, {cache[0]} : {types}", "  }", "}"])


if __name__ == "__main__":
    print(Step(parse_arguments()).build())
