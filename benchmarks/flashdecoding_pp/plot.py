# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The ablation as one picture: a row for each model, a column for each technique."""

from cells import BATCHES


def line(axes, points, label, **style):
    """Medians with their spread; points are (x, Figure)."""
    points = [(x, figure) for x, figure in points if figure]
    if not points:
        return
    x = [x for x, _ in points]
    median = [figure.median for _, figure in points]
    spread = [[f.median - f.least for _, f in points], [f.most - f.median for _, f in points]]
    axes.errorbar(x, median, yerr=spread, marker="o", ms=3, lw=1, capsize=2, label=label, **style)


def prepare(axes, title, xlabel, ticks):
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(tick) for tick in ticks], fontsize=7)
    axes.axhline(1, color="black", lw=0.6)
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(xlabel, fontsize=8)
    axes.set_ylabel("time / fdpp's choice", fontsize=8)


def finish(axes):
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7)
    else:
        axes.text(0.5, 0.5, "not run", transform=axes.transAxes, ha="center")


def softmax(axes, model, rows):
    contexts = sorted({row["cell"].context for row in rows})
    prepare(axes, f"{model}: async softmax, whole step", "context", contexts)
    for batch in BATCHES:
        own = [row for row in rows if row["cell"].batch == batch]
        line(axes, [(row["cell"].context, row["figures"]["async_over_exact_step"])
                    for row in own], f"batch {batch}")
    axes.set_xlim(min(contexts) / 1.5, max(contexts) * 1.5)
    finish(axes)


def by_batch(axes, model, rows, title, columns):
    contexts = [row["cell"].context for row in rows
                if any(row["figures"][name] for name in columns)]
    context = min(contexts, default=0)
    own = [row for row in rows if row["cell"].context == context]
    prepare(axes, f"{model}: {title}, context {context}", "batch", BATCHES)
    for name, label in columns.items():
        line(axes, [(row["cell"].batch, row["figures"][name]) for row in own], label)
    axes.set_yscale("log", base=2)
    finish(axes)


def draw(rows, path):
    from matplotlib.figure import Figure as Picture

    models = list(dict.fromkeys(
        row["cell"].model for row in rows if row["state"] == "measured"))
    if not models:
        return False
    picture = Picture(figsize=(13, 3.2 * len(models)), layout="constrained")
    grid = picture.subplots(len(models), 3, squeeze=False)
    for axes, model in zip(grid, models):
        own = [row for row in rows if row["cell"].model == model]
        softmax(axes[0], model, own)
        by_batch(axes[1], model, own, "rows padded to 64",
                 {"padded_own": "own kernels", "padded_library": "library"})
        by_batch(axes[2], model, own, "one kind for all",
                 {"always_gemv": "gemv", "always_flat": "flat", "always_library": "library",
                  "always_roofline": "roofline's choice"})
    picture.savefig(path, dpi=100)
    return True
