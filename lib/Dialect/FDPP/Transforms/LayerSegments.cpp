// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "LayerSegments.h"
#include "Dataflow.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace mlir::fdpp;

int64_t mlir::fdpp::constantIndex(Value value) {
  APInt constant;
  bool matched = matchPattern(value, m_ConstantInt(&constant));
  assert(matched && "a parameter is an access to a weight or a constant");
  (void)matched;
  return constant.getSExtValue();
}

//===----------------------------------------------------------------------===//
// Cuts.
//===----------------------------------------------------------------------===//

namespace {

/// Walks the body once, keeping the set of values that later operations read.
class Cutter {
public:
  explicit Cutter(func::FuncOp entry) : body(entry.front()) {
    for (auto [i, op] : llvm::enumerate(body))
      position[&op] = i;
    if (BlockArgument cache = argumentWithRole(entry, "cache"))
      define(cache, /*isCache=*/true);
  }

  std::vector<Segment> run() {
    std::vector<Segment> segments;
    Segment current;
    for (Operation &op : body.without_terminator()) {
      if (!isStream(op))
        continue;
      current.ops.push_back(&op);
      for (OpResult result : op.getResults())
        define(result, isCacheResult(result));
      llvm::erase_if(live,
                     [&](Value v) { return lastUse(v) <= position[&op]; });
      if (!atCut())
        continue;
      current.streamOut = stream();
      current.cacheOut = cache();
      segments.push_back(current);
      current = Segment();
      current.streamIn = segments.back().streamOut;
      current.cacheIn = segments.back().cacheOut;
    }
    // What leads to the first cut has no stream to enter by.
    if (!segments.empty())
      segments.erase(segments.begin());
    return segments;
  }

private:
  bool isStream(Operation &op) {
    return isa<EmbedOp>(op) || llvm::any_of(op.getOperands(), [&](Value v) {
             return derived.contains(v);
           });
  }

  /// A cache is handed on by the operation it is a destination of.
  bool isCacheResult(OpResult result) {
    return llvm::any_of(result.getOwner()->getOperands(), [&](Value v) {
      return caches.contains(v) && v.getType() == result.getType();
    });
  }

  void define(Value value, bool isCache) {
    derived.insert(value);
    if (isCache)
      caches.insert(value);
    if (!value.use_empty())
      live.push_back(value);
  }

  unsigned lastUse(Value value) {
    unsigned last = 0;
    for (Operation *user : value.getUsers())
      last = std::max(last, position[body.findAncestorOpInBlock(*user)]);
    return last;
  }

  bool atCut() {
    auto numCaches =
        llvm::count_if(live, [&](Value v) { return caches.contains(v); });
    return numCaches <= 1 && live.size() - numCaches == 1;
  }
  Value stream() {
    return *llvm::find_if(live, [&](Value v) { return !caches.contains(v); });
  }
  Value cache() {
    auto found =
        llvm::find_if(live, [&](Value v) { return caches.contains(v); });
    return found == live.end() ? Value() : *found;
  }

  Block &body;
  DenseMap<Operation *, unsigned> position;
  /// Values that depend on the embedding or the cache.
  llvm::DenseSet<Value> derived, caches;
  SmallVector<Value> live;
};

//===----------------------------------------------------------------------===//
// Signatures.
//===----------------------------------------------------------------------===//

class Signer {
public:
  Signer(Segment &segment, Weights &weights)
      : segment(segment), weights(weights) {
    names[segment.streamIn] = "x";
    if (segment.cacheIn)
      names[segment.cacheIn] = "cache";
  }

  void run() {
    for (Operation *op : segment.ops) {
      std::string text;
      llvm::raw_string_ostream os(text);
      os << op->getName() << ' ' << withoutScalars(op);
      for (Value operand : op->getOperands())
        os << ' ' << nameOf(operand);
      // A region has no text here: such an operation equals only itself.
      if (op->getNumRegions())
        os << ' ' << static_cast<void *>(op);
      for (OpResult result : op->getResults()) {
        names[result] = "v" + std::to_string(names.size());
        os << ' ' << result.getType();
      }
      segment.signature.push_back(std::move(text));
    }
    segment.signature.push_back("gives " + names[segment.streamOut]);
  }

private:
  /// The attributes but for the scalars, which are noted.
  DictionaryAttr withoutScalars(Operation *op) {
    NamedAttrList rest(op->getAttrDictionary());
    for (LayerScalar scalar : scalarsOf(op)) {
      rest.erase(scalar.name);
      segment.scalars.push_back(scalar);
    }
    return rest.getDictionary(op->getContext());
  }

  StringRef nameOf(Value value) {
    auto known = names.find(value);
    if (known != names.end())
      return known->second;
    if (auto table = value.getDefiningOp<RopeTableOp>();
        table && table.getOuts().empty() && readsWholeWeight(table))
      return names[value] = nameOfTable(table, cast<OpResult>(value));
    std::string &name = names[value];
    if (auto at = value.getDefiningOp<WeightAtOp>(); at && !at.getLayer())
      name = nameOfWeight(at);
    else if (value.getType().isIndex() && matchPattern(value, m_Constant()))
      name = addParameter(value, "index");
    if (!name.empty())
      return name;
    segment.invariants.push_back(value);
    llvm::raw_string_ostream(name) << value.getAsOpaquePointer();
    return name;
  }

  static bool readsWholeWeight(RopeTableOp table) {
    auto read = table.getInvFreq().getDefiningOp<WeightAtOp>();
    return read && !read.getLayer();
  }

  /// Tables in one place of two repetitions may differ in their frequencies.
  std::string nameOfTable(RopeTableOp table, OpResult result) {
    unsigned index = llvm::find(segment.tables, table) - segment.tables.begin();
    if (index == segment.tables.size())
      segment.tables.push_back(table);
    std::string name;
    llvm::raw_string_ostream(name)
        << "t" << index << '#' << result.getResultNumber() << '<'
        << table->getAttrDictionary() << table.getInvFreq().getType()
        << table.getPositions().getAsOpaquePointer() << '>';
    return name;
  }

  std::string nameOfWeight(WeightAtOp at) {
    auto [known, added] =
        accesses.try_emplace(at.getWeightAttr().getAttr(), at.getResult());
    if (!added) {
      segment.aliases.push_back({at.getResult(), known->second});
      return names[known->second];
    }
    std::string signature = weights.signature(weights.lookup(at));
    return signature.empty() ? "" : addParameter(at.getResult(), signature);
  }

  std::string addParameter(Value value, StringRef kind) {
    segment.parameters.push_back(value);
    return ("p" + Twine(segment.parameters.size()) + "<" + kind + ">").str();
  }

  Segment &segment;
  Weights &weights;
  DenseMap<Value, std::string> names;
  DenseMap<StringAttr, Value> accesses;
};

} // namespace

std::vector<Segment> mlir::fdpp::cutAtStream(func::FuncOp entry,
                                             Weights &weights) {
  std::vector<Segment> segments = Cutter(entry).run();
  for (Segment &segment : segments)
    Signer(segment, weights).run();
  return segments;
}

//===----------------------------------------------------------------------===//
// Repetitions.
//===----------------------------------------------------------------------===//

static bool readsWeight(const Segment &segment) {
  return llvm::any_of(segment.parameters, [](Value v) {
    return static_cast<bool>(v.getDefiningOp<WeightAtOp>());
  });
}

/// True if the constants of the segments `first`, `second` and `other`, which
/// is `steps` repetitions after `first`, lie on one line.
static bool onLine(const Segment &first, const Segment &second,
                   const Segment &other, int64_t steps) {
  for (auto [a, b, c] :
       llvm::zip(first.parameters, second.parameters, other.parameters)) {
    if (a.getDefiningOp<WeightAtOp>())
      continue;
    int64_t base = constantIndex(a), stride = constantIndex(b) - base;
    if (constantIndex(c) != base + steps * stride)
      return false;
  }
  return true;
}

/// True if two segments of one signature need no banks of scalars.
static bool sameScalars(const Segment &a, const Segment &b) {
  return a.tables == b.tables &&
         llvm::equal(a.scalars, b.scalars,
                     [](auto &x, auto &y) { return x.value == y.value; });
}

/// How often the `period` segments from `start` on occur one after another.
static unsigned countRepetitions(ArrayRef<Segment> segments, unsigned start,
                                 unsigned period, bool banks) {
  const Segment &last = segments[start + period - 1];
  const Segment &first = segments[start];
  if (first.streamIn.getType() != last.streamOut.getType() ||
      static_cast<bool>(first.cacheIn) != static_cast<bool>(last.cacheOut))
    return 1;
  unsigned count = 1;
  for (;; ++count) {
    unsigned next = start + count * period;
    if (next + period > segments.size())
      return count;
    for (unsigned part = 0; part < period; ++part) {
      const Segment &model = segments[start + part];
      if (segments[next + part].signature != model.signature ||
          (!banks && !sameScalars(segments[next + part], model)) ||
          !onLine(model, segments[start + period + part], segments[next + part],
                  count))
        return count;
    }
  }
}

static std::optional<Repetition> longest(ArrayRef<Segment> segments,
                                         bool banks) {
  std::optional<Repetition> best;
  unsigned covered = 0;
  for (unsigned period = 1; 2 * period <= segments.size(); ++period)
    for (unsigned start = 0; start + 2 * period <= segments.size(); ++start) {
      unsigned count = countRepetitions(segments, start, period, banks);
      ArrayRef<Segment> parts = segments.slice(start, period);
      if (count < 2 || count * period <= covered ||
          !llvm::any_of(parts, readsWeight))
        continue;
      covered = count * period;
      best = Repetition{start, period, count};
    }
  return best;
}

std::optional<Repetition>
mlir::fdpp::findRepetition(ArrayRef<Segment> segments) {
  std::optional<Repetition> exact = longest(segments, /*banks=*/false);
  std::optional<Repetition> banked = longest(segments, /*banks=*/true);
  bool longer = banked && (!exact || banked->size() > exact->size());
  return longer ? banked : exact;
}

/// The attributes in which two operations differ, or what else it may be.
static std::string describe(Operation *a, Operation *b) {
  std::string text = a->getName().getStringRef().str();
  llvm::raw_string_ostream os(text);
  bool found = false;
  DictionaryAttr other = b->getAttrDictionary();
  for (NamedAttribute attribute : a->getAttrDictionary()) {
    Attribute value = other.get(attribute.getName());
    if (value == attribute.getValue())
      continue;
    os << (found ? ", " : " has ") << attribute.getName().getValue() << " = "
       << attribute.getValue() << " and " << value;
    found = true;
  }
  if (!found)
    os << " reads other values or types";
  return text;
}

static bool haveSameOps(const Segment &a, const Segment &b) {
  return llvm::equal(a.ops, b.ops, [](Operation *x, Operation *y) {
    return x->getName() == y->getName();
  });
}

Difference mlir::fdpp::firstDifference(ArrayRef<Segment> segments) {
  for (unsigned i = 0; i < segments.size(); ++i)
    for (unsigned j = i + 1; j < segments.size(); ++j) {
      const Segment &a = segments[i], &b = segments[j];
      if (!readsWeight(a) || a.ops.size() < 2 || !haveSameOps(a, b))
        continue;
      for (unsigned k = 0; k < a.ops.size(); ++k)
        if (a.signature[k] != b.signature[k])
          return {a.ops[k], b.ops[k],
                  "layers differ: " + describe(a.ops[k], b.ops[k])};
    }
  return {};
}
