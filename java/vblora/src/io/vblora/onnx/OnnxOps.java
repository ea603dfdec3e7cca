package io.vblora.onnx;

import io.vblora.onnx.OnnxValue.Kind;
import java.util.Arrays;
import java.util.function.DoubleBinaryOperator;
import java.util.function.DoubleUnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * ONNX's operators as far as encoders use them, on values whose numbers may be unknown. The shape is always computed,
 * the numbers only if everything that they depend on is known.
 */
final class OnnxOps {
    private static final int MAX_RANK = 8;

    private OnnxOps() {}

    /** What a node is evaluated in. */
    interface Context {
        OnnxValue value(String name);

        long opset();

        /** Whether a value is a constant of the file, possibly cast. */
        boolean isConstant(String name);

        /** Counts numbers that are about to be computed; throws if they are too many. */
        void charge(OnnxNode node, long amount);

        /** Counts numbers that are about to be stored; throws if they are too many. */
        void hold(OnnxNode node, long amount);
    }

    /** A function of the numbers at the same place of all inputs. */
    @FunctionalInterface
    private interface Elementwise {
        double apply(double[] x);
    }

    /** The outputs of a node, at least the first of them. */
    static OnnxValue[] evaluate(OnnxNode node, Context context) {
        return new Evaluation(node, context).outputs();
    }

    /** One evaluation of one node. */
    private static final class Evaluation {
        private final OnnxNode node;
        private final Context context;

        Evaluation(OnnxNode node, Context context) {
            this.node = node;
            this.context = context;
        }

        OnnxValue[] outputs() {
            if (node.op().equals("Split")) {
                return split();
            }
            return new OnnxValue[] {output()};
        }

        private OnnxValue in(int i) {
            return context.value(node.input(i));
        }

        private OnnxValue output() {
            return switch (node.op()) {
                case "Identity", "Dropout" -> in(0);
                case "Cast" -> cast(switch ((int) node.integer("to", null)) {
                    case 1, 10, 11, 16 -> Kind.FLOAT;
                    case 9 -> Kind.BOOL;
                    case 2, 3, 4, 5, 6, 7, 12, 13 -> Kind.INTEGER;
                    default -> throw node.refused("a cast to type " + node.integer("to", null), "numbers or bool");
                });
                case "CastLike" -> cast(in(1).kind());
                case "Add" -> binary(Double::sum);
                case "Sub" -> binary((a, b) -> a - b);
                case "Mul" -> binary((a, b) -> a * b);
                case "Div" -> in(0).kind() == Kind.INTEGER ? binary((a, b) -> (double) ((long) a / divisor(b)))
                        : binary((a, b) -> a / b);
                case "Mod" -> binary((a, b) -> Math.floorMod((long) a, divisor(b)));
                case "Pow" -> binary(Math::pow);
                case "Min" -> variadic(Math::min);
                case "Max" -> variadic(Math::max);
                case "Equal" -> comparison((a, b) -> a == b);
                case "Greater" -> comparison((a, b) -> a > b);
                case "GreaterOrEqual" -> comparison((a, b) -> a >= b);
                case "Less" -> comparison((a, b) -> a < b);
                case "LessOrEqual" -> comparison((a, b) -> a <= b);
                case "And" -> comparison((a, b) -> a != 0 && b != 0);
                case "Or" -> comparison((a, b) -> a != 0 || b != 0);
                case "Not" -> elementwise(Kind.BOOL, x -> x[0] == 0 ? 1 : 0, in(0));
                case "IsNaN" -> elementwise(Kind.BOOL, x -> Double.isNaN(x[0]) ? 1 : 0, in(0));
                case "Where" -> elementwise(in(1).kind(), x -> x[0] != 0 ? x[1] : x[2], in(0), in(1), in(2));
                case "Sqrt" -> unary(Math::sqrt);
                case "Reciprocal" -> unary(a -> 1 / a);
                case "Neg" -> unary(a -> -a);
                case "Abs" -> unary(Math::abs);
                case "Exp" -> unary(Math::exp);
                case "Tanh" -> unary(Math::tanh);
                case "Erf" -> unary(OnnxFunctions::erf);
                case "Sigmoid" -> unary(a -> 1 / (1 + Math.exp(-a)));
                case "Relu" -> unary(a -> Math.max(a, 0));
                case "Gelu" -> unary(node.attribute("approximate", String.class, "none").equals("tanh")
                        ? OnnxFunctions::geluTanh : OnnxFunctions::gelu);
                case "Clip" -> clip();
                case "Shape" -> shape();
                case "Size" -> OnnxValue.of(Kind.INTEGER, new double[] {in(0).elements()});
                case "Reshape" -> reshape();
                case "Flatten" -> flatten();
                case "Squeeze" -> squeeze();
                case "Unsqueeze" -> unsqueeze();
                case "Transpose" -> transpose();
                case "Expand" -> expand(in(0), broadcast(in(0).shape(), integers(in(1))));
                case "ConstantOfShape" -> constantOfShape();
                case "Range" -> range();
                case "Concat" -> concat();
                case "Slice" -> slice();
                case "Gather" -> gather();
                case "GatherND" -> gatherNd();
                case "CumSum" -> cumSum();
                case "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceSumSquare" -> reduce();
                case "LpNormalization" -> lpNormalization();
                case "MatMul" -> matMul(in(0), in(1));
                case "Gemm" -> gemm();
                case "Softmax", "LayerNormalization" -> unknown(in(0).kind(), in(0).shape(), in(0).hidden());
                default -> throw node.refused("an operator that is not read", "a float encoder of BERT's type, as "
                        + "PyTorch or Optimum export it, neither quantized nor fused");
            };
        }

        // --- numbers at one place ---------------------------------------------------------------------------------

        private OnnxValue unary(DoubleUnaryOperator f) {
            return elementwise(in(0).kind(), x -> f.applyAsDouble(x[0]), in(0));
        }

        private OnnxValue binary(DoubleBinaryOperator f) {
            return elementwise(in(0).kind(), x -> f.applyAsDouble(x[0], x[1]), in(0), in(1));
        }

        /** A predicate of two numbers. */
        @FunctionalInterface
        private interface Comparison {
            boolean test(double a, double b);
        }

        private OnnxValue comparison(Comparison f) {
            return elementwise(Kind.BOOL, x -> f.test(x[0], x[1]) ? 1 : 0, in(0), in(1));
        }

        private OnnxValue variadic(DoubleBinaryOperator f) {
            OnnxValue[] inputs = IntStream.range(0, node.inputs().size()).mapToObj(this::in).toArray(OnnxValue[]::new);
            return elementwise(in(0).kind(), x -> Arrays.stream(x).reduce(f).orElseThrow(), inputs);
        }

        private long divisor(double b) {
            if ((long) b == 0) {
                throw node.refused("a division by 0", "another number");
            }
            return (long) b;
        }

        private OnnxValue cast(Kind kind) {
            return elementwise(kind, x -> kind == Kind.BOOL ? (x[0] != 0 ? 1 : 0)
                    : kind == Kind.INTEGER ? (double) (long) x[0] : x[0], in(0));
        }

        private OnnxValue clip() {
            double low = bound(1, "min", Double.NEGATIVE_INFINITY);
            double high = bound(2, "max", Double.POSITIVE_INFINITY);
            return unary(a -> Math.min(Math.max(a, low), high));
        }

        private double bound(int input, String attribute, double otherwise) {
            if (node.hasInput(input)) {
                return number(in(input));
            }
            return node.hasAttribute(attribute) ? node.attribute(attribute, Float.class, null) : otherwise;
        }

        private OnnxValue elementwise(Kind kind, Elementwise f, OnnxValue... inputs) {
            long[] shape = {};
            for (OnnxValue input : inputs) {
                shape = broadcast(shape, input.shape());
            }
            double[] data = allocate(shape, inputs);
            if (data != null) {
                long[][] strides = new long[inputs.length][];
                for (int i = 0; i < inputs.length; i++) {
                    strides[i] = strides(inputs[i].shape(), shape.length);
                }
                double[] x = new double[inputs.length];
                Places places = new Places(shape, strides);
                for (int i = 0; i < data.length; i++, places.next()) {
                    for (int j = 0; j < x.length; j++) {
                        x[j] = inputs[j].data()[(int) places.offset(j)];
                    }
                    data[i] = f.apply(x);
                }
            }
            return result(kind, shape, data, inputs);
        }

        // --- shapes -----------------------------------------------------------------------------------------------

        private OnnxValue shape() {
            long[] sizes = in(0).shape();
            int begin = (int) place(node.integer("start", 0L), sizes.length);
            int end = (int) place(node.integer("end", (long) sizes.length), sizes.length);
            double[] part = Arrays.stream(sizes, begin, Math.max(begin, end)).asDoubleStream().toArray();
            return OnnxValue.of(Kind.INTEGER, part, part.length);
        }

        private static long place(long index, int size) {
            return Math.max(0, Math.min(size, index < 0 ? index + size : index));
        }

        private OnnxValue reshape() {
            OnnxValue x = in(0);
            long[] shape = integers(in(1)).clone();
            boolean zeros = node.integer("allowzero", 0L) != 0;
            int open = -1;
            for (int i = 0; i < shape.length; i++) {
                if (shape[i] == 0 && !zeros && i < x.rank()) {
                    shape[i] = x.shape()[i];
                } else if (shape[i] == -1 && open < 0) {
                    open = i;
                    shape[i] = 1;
                }
            }
            checkShape(shape);
            long rest = OnnxValue.count(shape);
            if (open >= 0 && rest > 0 && x.elements() % rest == 0) {
                shape[open] = x.elements() / rest;
            }
            return reshaped(x, shape);
        }

        private OnnxValue reshaped(OnnxValue x, long[] shape) {
            checkShape(shape);
            if (OnnxValue.count(shape) != x.elements()) {
                throw node.refused(Arrays.toString(shape) + " for a value of shape " + Arrays.toString(x.shape()),
                        "as many elements; a model whose batch size and length of texts are left open");
            }
            return x.reshaped(shape);
        }

        private OnnxValue flatten() {
            long[] shape = in(0).shape();
            int axis = (int) place(node.integer("axis", 1L), shape.length);
            return reshaped(in(0), new long[] {OnnxValue.count(Arrays.copyOf(shape, axis)),
                OnnxValue.count(Arrays.copyOfRange(shape, axis, shape.length))});
        }

        private OnnxValue squeeze() {
            OnnxValue x = in(0);
            boolean all = !node.hasInput(1) && !node.hasAttribute("axes");
            boolean[] drop = all ? null : axes(x.rank(), 1);
            return reshaped(x, IntStream.range(0, x.rank()).filter(i -> all ? x.shape()[i] != 1 : !drop[i])
                    .mapToLong(i -> x.shape()[i]).toArray());
        }

        private OnnxValue unsqueeze() {
            OnnxValue x = in(0);
            int rank = x.rank() + (node.hasInput(1) ? integers(in(1)) : node.integers("axes")).length;
            checkRank(rank);
            boolean[] added = axes(rank, 1);
            long[] shape = new long[rank];
            int from = 0;
            for (int i = 0; i < rank; i++) {
                shape[i] = added[i] ? 1 : from < x.rank() ? x.shape()[from++] : -1;
            }
            return reshaped(x, shape);
        }

        /** The axes that are named by an attribute or, since a later version, by an input. */
        private boolean[] axes(int rank, int input) {
            boolean[] marked = new boolean[rank];
            for (long axis : node.hasInput(input) ? integers(in(input)) : node.integers("axes")) {
                marked[axis(axis, rank)] = true;
            }
            return marked;
        }

        private int axis(long axis, int rank) {
            if (axis < -rank || axis >= rank) {
                throw node.refused("axis " + axis + " of a value of " + rank + " dimensions", "one of these");
            }
            return (int) (axis < 0 ? axis + rank : axis);
        }

        private OnnxValue transpose() {
            OnnxValue x = in(0);
            int rank = x.rank();
            long[] order = node.hasAttribute("perm") ? node.integers("perm")
                    : IntStream.range(0, rank).mapToLong(i -> rank - 1 - i).toArray();
            long[] sorted = order.clone();
            Arrays.sort(sorted);
            if (!Arrays.equals(sorted, IntStream.range(0, rank).asLongStream().toArray())) {
                throw node.refused("perm " + Arrays.toString(order), "an order of " + rank + " dimensions");
            }
            long[] strides = strides(x.shape(), rank);
            return arranged(x, Arrays.stream(order).map(i -> x.shape()[(int) i]).toArray(),
                    Arrays.stream(order).map(i -> strides[(int) i]).toArray(), 0);
        }

        private OnnxValue expand(OnnxValue x, long[] shape) {
            return arranged(x, shape, strides(x.shape(), shape.length), 0);
        }

        /** The numbers of x at start + place · strides. */
        private OnnxValue arranged(OnnxValue x, long[] shape, long[] strides, long start) {
            double[] data = allocate(shape, x);
            if (data != null) {
                Places places = new Places(shape, strides);
                for (int i = 0; i < data.length; i++, places.next()) {
                    data[i] = x.data()[(int) (start + places.offset(0))];
                }
            }
            return result(x.kind(), shape, data, x);
        }

        private OnnxValue constantOfShape() {
            long[] shape = integers(in(0));
            checkShape(shape);
            Kind kind = Kind.FLOAT;
            double fill = 0;
            if (node.attributes().get("value") instanceof OnnxTensor tensor && tensor.entry().elements() == 1) {
                kind = tensor.kind();
                fill = tensor.numbers(node.label())[0];
            }
            double[] data = allocate(shape);
            if (data != null) {
                Arrays.fill(data, fill);
            }
            return result(kind, shape, data);
        }

        private OnnxValue range() {
            double start = number(in(0));
            double step = number(in(2));
            double size = Math.max(0, Math.ceil((number(in(1)) - start) / step));
            if (!(size <= OnnxValue.MAX_NUMBERS)) {
                throw node.refused("a range of " + size + " numbers", "at most " + OnnxValue.MAX_NUMBERS);
            }
            context.charge(node, (long) size);
            context.hold(node, (long) size);
            double[] data = IntStream.range(0, (int) size).mapToDouble(i -> start + i * step).toArray();
            return OnnxValue.of(in(0).kind(), data, data.length);
        }

        // --- parts ------------------------------------------------------------------------------------------------

        private OnnxValue concat() {
            OnnxValue[] parts = IntStream.range(0, node.inputs().size()).mapToObj(this::in).toArray(OnnxValue[]::new);
            long[] shape = in(0).shape().clone();
            int axis = axis(node.integer("axis", null), shape.length);
            shape[axis] = 0;
            for (OnnxValue part : parts) {
                long[] rest = part.shape().clone();
                if (rest.length == shape.length) {
                    rest[axis] = shape[axis];
                }
                if (!Arrays.equals(rest, shape)) {
                    throw node.refused(part + " beside " + parts[0], "shapes that differ in dimension " + axis);
                }
                shape[axis] += part.shape()[axis]; // a size from a file, below 2^63, added to a checked one
                checkShape(shape);
            }
            double[] data = allocate(shape, parts);
            if (data != null) {
                int rows = (int) OnnxValue.count(Arrays.copyOf(shape, axis));
                int at = 0;
                for (int row = 0; row < rows; row++) {
                    for (OnnxValue part : parts) {
                        int n = part.data().length / rows;
                        System.arraycopy(part.data(), row * n, data, at, n);
                        at += n;
                    }
                }
            }
            return result(parts[0].kind(), shape, data, parts);
        }

        private OnnxValue slice() {
            OnnxValue x = in(0);
            boolean inputs = node.hasInput(1);
            long[] starts = inputs ? integers(in(1)) : node.integers("starts");
            long[] ends = inputs ? integers(in(2)) : node.integers("ends");
            long[] axes = node.hasInput(3) ? integers(in(3)) : node.hasAttribute("axes") ? node.integers("axes")
                    : IntStream.range(0, starts.length).asLongStream().toArray();
            long[] steps = node.hasInput(4) ? integers(in(4))
                    : LongStream.generate(() -> 1).limit(starts.length).toArray();
            if (ends.length != starts.length || axes.length != starts.length || steps.length != starts.length) {
                throw node.refused("starts, ends, axes and steps of different lengths", "one length");
            }
            long[] shape = x.shape().clone();
            long[] strides = strides(x.shape(), x.rank());
            long start = 0;
            boolean[] sliced = new boolean[x.rank()];
            for (int i = 0; i < starts.length; i++) {
                int axis = axis(axes[i], x.rank());
                if (sliced[axis]) {
                    throw node.refused("axis " + axis + " twice", "each axis once");
                }
                sliced[axis] = true;
                if (steps[i] != 1) {
                    throw node.refused("a slice in steps of " + steps[i], "steps of 1");
                }
                long begin = place(starts[i], (int) Math.min(Integer.MAX_VALUE, x.shape()[axis]));
                long end = place(ends[i], (int) Math.min(Integer.MAX_VALUE, x.shape()[axis]));
                shape[axis] = Math.max(0, end - begin);
                start += begin * strides[axis];
            }
            return arranged(x, shape, strides, start);
        }

        private OnnxValue[] split() {
            OnnxValue x = in(0);
            int axis = axis(node.integer("axis", 0L), x.rank());
            int parts = node.outputs().size();
            long size = x.shape()[axis];
            long[] sizes = node.hasInput(1) ? integers(in(1))
                    : node.hasAttribute("split") ? node.integers("split")
                    : LongStream.generate(() -> (size + parts - 1) / parts).limit(parts).toArray();
            long[] strides = strides(x.shape(), x.rank());
            OnnxValue[] results = new OnnxValue[parts];
            long begin = 0;
            for (int i = 0; i < parts; i++) {
                long[] shape = x.shape().clone();
                shape[axis] = i < sizes.length ? Math.min(sizes[i], size - begin) : -1;
                checkShape(shape);
                results[i] = arranged(x, shape, strides, begin * strides[axis]);
                begin += shape[axis];
            }
            return results;
        }

        private OnnxValue gather() {
            OnnxValue x = in(0);
            OnnxValue indices = in(1);
            int axis = axis(node.integer("axis", 0L), x.rank());
            long[] shape = new long[x.rank() - 1 + indices.rank()];
            checkRank(shape.length);
            System.arraycopy(x.shape(), 0, shape, 0, axis);
            System.arraycopy(indices.shape(), 0, shape, axis, indices.rank());
            System.arraycopy(x.shape(), axis + 1, shape, axis + indices.rank(), x.rank() - axis - 1);
            checkShape(shape);
            if (x.kind() == Kind.FLOAT && x.rank() == 2 && axis == 0 && context.isConstant(node.input(0))) {
                return unknown(x.kind(), shape, true);
            }
            double[] data = allocate(shape, x, indices);
            if (data != null) {
                int size = (int) x.shape()[axis];
                int inner = (int) OnnxValue.count(Arrays.copyOfRange(x.shape(), axis + 1, x.rank()));
                int outer = (int) OnnxValue.count(Arrays.copyOf(x.shape(), axis));
                int at = 0;
                for (int i = 0; i < outer; i++) {
                    for (double index : indices.data()) {
                        int from = (i * size + index(index, size)) * inner;
                        System.arraycopy(x.data(), from, data, at, inner);
                        at += inner;
                    }
                }
            }
            return result(x.kind(), shape, data, x, indices);
        }

        private int index(double index, long size) {
            double place = index < 0 ? index + size : index;
            if (!(place >= 0 && place < size)) {
                throw node.refused("index " + index + " of " + size, "an index in its range");
            }
            return (int) place;
        }

        private OnnxValue gatherNd() {
            OnnxValue x = in(0);
            OnnxValue indices = in(1);
            int depth = (int) Math.min(Integer.MAX_VALUE, indices.lastSize());
            if (node.integer("batch_dims", 0L) != 0 || indices.rank() == 0 || depth > x.rank()) {
                throw node.refused(indices + " into " + x + ", batch_dims " + node.integer("batch_dims", 0L),
                        "indices of at most " + x.rank() + " numbers, no batch_dims");
            }
            long[] shape = new long[indices.rank() - 1 + x.rank() - depth];
            checkRank(shape.length);
            System.arraycopy(indices.shape(), 0, shape, 0, indices.rank() - 1);
            System.arraycopy(x.shape(), depth, shape, indices.rank() - 1, x.rank() - depth);
            double[] data = allocate(shape, x, indices);
            if (data != null) {
                int inner = (int) OnnxValue.count(Arrays.copyOfRange(x.shape(), depth, x.rank()));
                for (int at = 0, i = 0; at < data.length; at += inner, i += depth) {
                    int from = 0;
                    for (int j = 0; j < depth; j++) {
                        from = from * (int) x.shape()[j] + index(indices.data()[i + j], x.shape()[j]);
                    }
                    System.arraycopy(x.data(), from * inner, data, at, inner);
                }
            }
            return result(x.kind(), shape, data, x, indices);
        }

        // --- sums -------------------------------------------------------------------------------------------------

        private OnnxValue cumSum() {
            OnnxValue x = in(0);
            int axis = axis((long) number(in(1)), x.rank());
            if (node.integer("exclusive", 0L) != 0 || node.integer("reverse", 0L) != 0) {
                throw node.refused("exclusive or reverse", "a plain running sum");
            }
            double[] data = allocate(x.shape(), x);
            if (data != null) {
                int stride = (int) strides(x.shape(), x.rank())[axis];
                int size = (int) x.shape()[axis];
                for (int i = 0; i < data.length; i++) {
                    boolean first = stride == 0 || i / stride % size == 0;
                    data[i] = x.data()[i] + (first ? 0 : data[i - stride]);
                }
            }
            return result(x.kind(), x.shape(), data, x);
        }

        private OnnxValue reduce() {
            OnnxValue x = in(0);
            boolean none = !node.hasInput(1) && !node.hasAttribute("axes");
            boolean[] drop = none ? new boolean[x.rank()] : axes(x.rank(), 1);
            if (none && node.integer("noop_with_empty_axes", 0L) == 0) {
                Arrays.fill(drop, true);
            }
            String op = node.op();
            OnnxValue sum = switch (op) {
                case "ReduceMax" -> folded(x, drop, Double.NEGATIVE_INFINITY, Math::max);
                case "ReduceMin" -> folded(x, drop, Double.POSITIVE_INFINITY, Math::min);
                case "ReduceL2", "ReduceSumSquare" -> folded(x, drop, 0, (a, b) -> a + b * b);
                default -> folded(x, drop, 0, Double::sum);
            };
            if (sum.isKnown()) {
                double n = (double) x.elements() / sum.elements();
                DoubleUnaryOperator last = op.equals("ReduceMean") ? a -> a / n
                        : op.equals("ReduceL2") ? Math::sqrt : DoubleUnaryOperator.identity();
                Arrays.setAll(sum.data(), i -> last.applyAsDouble(sum.data()[i]));
            }
            if (node.integer("keepdims", 1L) != 0) {
                return sum;
            }
            return sum.reshaped(IntStream.range(0, x.rank()).filter(i -> !drop[i]).mapToLong(i -> x.shape()[i])
                    .toArray());
        }

        /** Sizes of dropped dimensions become 1. */
        private OnnxValue folded(OnnxValue x, boolean[] drop, double initial, DoubleBinaryOperator f) {
            long[] shape = x.shape().clone();
            for (int i = 0; i < shape.length; i++) {
                shape[i] = drop[i] ? 1 : shape[i];
            }
            double[] data = allocate(shape, x);
            if (data != null) {
                context.charge(node, x.elements());
                Arrays.fill(data, initial);
                Places places = new Places(x.shape(), strides(shape, shape.length));
                for (int i = 0; i < x.data().length; i++, places.next()) {
                    int to = (int) places.offset(0);
                    data[to] = f.applyAsDouble(data[to], x.data()[i]);
                }
            }
            return result(x.kind(), shape, data, x);
        }

        private OnnxValue lpNormalization() {
            OnnxValue x = in(0);
            if (node.integer("p", 2L) != 2) {
                throw node.refused("p " + node.integer("p", 2L), "2");
            }
            boolean[] drop = new boolean[x.rank()];
            drop[axis(node.integer("axis", -1L), x.rank())] = true;
            OnnxValue squares = folded(x, drop, 0, (a, b) -> a + b * b);
            return elementwise(x.kind(), v -> v[0] / Math.sqrt(v[1]), x, squares);
        }

        // --- products ---------------------------------------------------------------------------------------------

        private OnnxValue gemm() {
            OnnxValue a = node.integer("transA", 0L) == 0 ? in(0) : transposed(in(0));
            OnnxValue b = node.integer("transB", 0L) == 0 ? in(1) : transposed(in(1));
            if (a.rank() != 2 || b.rank() != 2) {
                throw node.refused(a + " and " + b, "matrices");
            }
            double alpha = node.attribute("alpha", Float.class, 1f);
            double beta = node.attribute("beta", Float.class, 1f);
            OnnxValue product = matMul(a, b);
            return node.hasInput(2)
                    ? elementwise(product.kind(), x -> alpha * x[0] + beta * x[1], product, in(2))
                    : elementwise(product.kind(), x -> alpha * x[0], product);
        }

        private OnnxValue transposed(OnnxValue x) {
            if (x.rank() != 2) {
                throw node.refused(x.toString(), "a matrix");
            }
            return arranged(x, new long[] {x.shape()[1], x.shape()[0]}, new long[] {1, x.shape()[1]}, 0);
        }

        private OnnxValue matMul(OnnxValue a, OnnxValue b) {
            if (a.rank() < 2 || b.rank() < 2 || a.lastSize() != b.shape()[b.rank() - 2]) {
                throw node.refused(a + " and " + b, "matrices that fit together");
            }
            long m = a.shape()[a.rank() - 2];
            long inner = a.lastSize();
            long n = b.lastSize();
            long[] batch = broadcast(Arrays.copyOf(a.shape(), a.rank() - 2), Arrays.copyOf(b.shape(), b.rank() - 2));
            long[] shape = Arrays.copyOf(batch, batch.length + 2);
            shape[batch.length] = m;
            shape[batch.length + 1] = n;
            double[] data = allocate(shape, a, b);
            if (data != null) {
                context.charge(node, Math.multiplyExact(data.length, inner));
                Places places = new Places(batch, strides(Arrays.copyOf(a.shape(), a.rank() - 2), batch.length),
                        strides(Arrays.copyOf(b.shape(), b.rank() - 2), batch.length));
                for (int at = 0; at < data.length; at += (int) (m * n), places.next()) {
                    int fromA = (int) (places.offset(0) * m * inner);
                    int fromB = (int) (places.offset(1) * inner * n);
                    for (int i = 0; i < m * n; i++) {
                        double sum = 0;
                        for (int k = 0; k < inner; k++) {
                            sum += a.data()[fromA + (int) (i / n * inner) + k]
                                    * b.data()[fromB + (int) (k * n + i % n)];
                        }
                        data[at + i] = sum;
                    }
                }
            }
            return result(a.kind(), shape, data, a, b);
        }

        // --- values -----------------------------------------------------------------------------------------------

        private OnnxValue unknown(Kind kind, long[] shape, boolean hidden) {
            return new OnnxValue(kind, shape, null, hidden);
        }

        private OnnxValue result(Kind kind, long[] shape, double[] data, OnnxValue... inputs) {
            return new OnnxValue(kind, shape, data, Arrays.stream(inputs).anyMatch(OnnxValue::hidden));
        }

        /** Room for numbers if those of all inputs are known and they are not too many; otherwise null. */
        private double[] allocate(long[] shape, OnnxValue... inputs) {
            checkShape(shape);
            long n = OnnxValue.count(shape);
            if (n > OnnxValue.MAX_NUMBERS || !Arrays.stream(inputs).allMatch(OnnxValue::isKnown)) {
                return null;
            }
            context.charge(node, n);
            context.hold(node, n);
            return new double[(int) n];
        }

        private void checkRank(int rank) {
            if (rank > MAX_RANK) {
                throw node.refused(rank + " dimensions", "at most " + MAX_RANK);
            }
        }

        private void checkShape(long[] shape) {
            checkRank(shape.length);
            double n = 1;
            for (long size : shape) {
                n *= Math.max(1, size);
                if (size < 0 || n > 1L << 40) {
                    throw node.refused("shape " + Arrays.toString(shape), "sizes of a model, none negative");
                }
            }
        }

        private long[] integers(OnnxValue value) {
            if (!value.isKnown() || value.rank() > 1) {
                throw node.refused(value + (value.isKnown() ? "" : ", whose numbers depend on the text"),
                        "a list of known numbers");
            }
            return Arrays.stream(value.data()).mapToLong(number -> (long) number).toArray();
        }

        private double number(OnnxValue value) {
            if (!value.isNumber()) {
                throw node.refused(value.toString(), "one known number");
            }
            return value.data()[0];
        }

        private long[] broadcast(long[] a, long[] b) {
            int rank = Math.max(a.length, b.length);
            long[] shape = new long[rank];
            for (int i = 0; i < rank; i++) {
                long x = i < rank - a.length ? 1 : a[i - rank + a.length];
                long y = i < rank - b.length ? 1 : b[i - rank + b.length];
                if (x != y && x != 1 && y != 1) {
                    throw node.refused("shapes " + Arrays.toString(a) + " and " + Arrays.toString(b),
                            "shapes that fit together");
                }
                shape[i] = x == 1 ? y : x;
            }
            return shape;
        }
    }

    /** Steps from one element to the next in each of {@code rank} dimensions; 0 in those that are broadcast. */
    private static long[] strides(long[] shape, int rank) {
        long[] strides = new long[rank];
        long step = 1;
        for (int i = shape.length - 1; i >= 0; i--) {
            strides[rank - shape.length + i] = shape[i] == 1 ? 0 : step;
            step *= shape[i];
        }
        return strides;
    }

    /**
     * Goes through all places of a shape in row-major order and keeps the offset that the strides give each of them.
     */
    private static final class Places {
        private final long[] shape;
        private final long[][] strides;
        private final long[] index;
        private final long[] offsets;

        Places(long[] shape, long[]... strides) {
            this.shape = shape;
            this.strides = strides;
            this.index = new long[shape.length];
            this.offsets = new long[strides.length];
        }

        long offset(int i) {
            return offsets[i];
        }

        void next() {
            for (int d = shape.length - 1; d >= 0; d--) {
                boolean more = ++index[d] < shape[d];
                for (int i = 0; i < offsets.length; i++) {
                    offsets[i] += more ? strides[i][d] : -(shape[d] - 1) * strides[i][d];
                }
                if (more) {
                    return;
                }
                index[d] = 0;
            }
        }
    }
}
