package io.vblora.model.onnx;

import io.vblora.kernels.ops.Activation;
import io.vblora.model.config.BertConfig;
import io.vblora.model.config.Pooling;
import io.vblora.onnx.OnnxBuilder;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** Small encoders as ONNX graphs, in the words of different exporters. */
final class TinyOnnx {
    static final int HIDDEN = 8;
    static final int INNER = 12;
    static final int HEADS = 2;
    static final int HEAD = HIDDEN / HEADS;
    static final int LAYERS = 2;
    static final int VOCABULARY = 20;
    static final int POSITIONS = 18;

    /** How layer normalisation is written. */
    enum Norm { POW, SQUARE, RECIPROCAL, OP }

    /** How linear layers are written. */
    enum Dense { MATMUL, BIAS_FIRST, GEMM, GEMM_TRANSPOSED, TRANSPOSE }

    /** How the activation is written. */
    enum Act {
        ERF_DIV(Activation.GELU), ERF_MUL(Activation.GELU), GELU_OP(Activation.GELU), TANH_POW(Activation.GELU_TANH),
        TANH_MUL(Activation.GELU_TANH), TANH_OP(Activation.GELU_TANH), RELU(Activation.RELU), TANH(Activation.TANH);

        final Activation activation;

        Act(Activation activation) {
            this.activation = activation;
        }
    }

    /** Where scores are scaled. */
    enum Scale { DIV, MUL, QUERY, BOTH, FROM_SHAPE }

    /** How padding is masked. */
    enum Mask { LOWEST, MINUS_10000, BOOL, EXPANDED, SCORES }

    /** How heads are made of numbers side by side. */
    enum Heads { SHAPES, ZEROS, THREE_DIMENSIONS, TWO_TRANSPOSES }

    /** Where positions come from. */
    enum Positions { BUFFER, RANGE, CUMSUM }

    /** Where token types come from. */
    enum Types { INPUT, ZEROS, ROW }

    /** What the graph gives. */
    enum Output { STATE, POOLER, MEAN, MEAN_NORMALISED, CLS, CLS_NORMALISED }

    /** What makes the graph another than the encoder's; the text is part of what refuses it. */
    enum Fault {
        NO_MASK("padding that is not masked"), CAUSAL("a mask of padding alone"), SCALE("attention scaled by"),
        HEADS("heads side by side"), RELATIVE_POSITIONS("queries and keys"), QUICK_GELU("another activation"),
        EPSILON("epsilon 0.001"), NO_BIAS("no bias"), CARRIED("one that reads"), POSITIONS("rows chosen otherwise"),
        QUANTIZED("neither quantized nor fused"), FUSED("com.microsoft:SkipLayerNormalization"),
        INPUT("\"position_ids\""), FIXED_LENGTH("length of texts are left open"), MAX_POOLING("one vector per text"),
        NO_ENCODER("layer normalisation"), RELU_QUERY("another function of it"), RELU_KEY("another function of it"),
        RELU_VALUE("another function of it"), RELU_MIXED("another function of it"),
        RELU_SCORES("a mask of padding alone"), SWAPPED_SCORES("a mask of padding alone"),
        RELU_POOLING("one vector per text");

        final String message;

        Fault(String message) {
            this.message = message;
        }
    }

    /** How weights are stored. */
    enum Stored { FLOAT32, FLOAT32_DATA, FLOAT16 }

    record Style(int opset, Norm norm, Dense dense, Act act, Scale scale, Mask mask, Heads heads, Positions positions,
            Types types, Output output, Stored stored) {

        /** PyTorch 2.0's words. */
        static final Style TORCH = new Style(14, Norm.POW, Dense.MATMUL, Act.ERF_DIV, Scale.DIV, Mask.LOWEST,
                Heads.SHAPES, Positions.BUFFER, Types.INPUT, Output.STATE, Stored.FLOAT32);

        static Style random(Random random) {
            Norm norm = pick(random, Norm.values());
            Act act = pick(random, Act.values());
            int opset = act == Act.GELU_OP || act == Act.TANH_OP ? 20
                    : norm == Norm.OP ? 17 + random.nextInt(4) : 11 + random.nextInt(10);
            return new Style(opset, norm, pick(random, Dense.values()), act, pick(random, Scale.values()),
                    pick(random, Mask.values()), pick(random, Heads.values()), pick(random, Positions.values()),
                    pick(random, Types.values()), pick(random, Output.values()), pick(random, Stored.values()));
        }

        private static <E> E pick(Random random, E[] values) {
            return values[random.nextInt(values.length)];
        }

        Pooling pooling() {
            return switch (output) {
                case STATE -> null;
                case POOLER -> Pooling.POOLER;
                case MEAN, MEAN_NORMALISED -> Pooling.MEAN;
                case CLS, CLS_NORMALISED -> Pooling.CLS;
            };
        }

        boolean isNormalised() {
            return output == Output.MEAN_NORMALISED || output == Output.CLS_NORMALISED;
        }

        /** RoBERTa's positions begin after its pad token, 1. */
        int positionOffset() {
            return positions == Positions.CUMSUM ? 2 : 0;
        }
    }

    /** Name of the first output; with a vector per text there may be the hidden states, too. */
    static final String OUTPUT = "output";

    private final Style style;
    /** Null if there is none. */
    private final Fault fault;
    private final OnnxBuilder graph;
    private final Random random;
    private final Map<String, float[]> weights = new LinkedHashMap<>();
    private final Map<String, long[]> shapes = new LinkedHashMap<>();
    private final String mask;
    private final String ids;
    private int tensors;

    TinyOnnx(Style style, long seed) {
        this(style, seed, null);
    }

    TinyOnnx(Style style, long seed, Fault fault) {
        this.style = style;
        this.fault = fault;
        this.graph = new OnnxBuilder(style.opset);
        this.random = new Random(seed);
        this.ids = graph.input("input_ids");
        this.mask = graph.input("attention_mask");
        String state = fault == Fault.NO_ENCODER ? graph.node("Cast", List.of(ids), Map.of("to", 1L)) : encoder();
        String output = output(state);
        graph.add("Identity", List.of(output), List.of(OUTPUT), Map.of());
        graph.output(OUTPUT, style.output == Output.STATE ? 3 : 2);
        if (style.output != Output.STATE && fault == null && random.nextBoolean()) {
            graph.add("Identity", List.of(state), List.of("token_embeddings"), Map.of());
            graph.output("token_embeddings", 3);
        }
    }

    byte[] bytes() {
        return graph.build();
    }

    /** The weights by Hugging Face's names, matrices [out, in]. */
    Map<String, float[]> weights() {
        return weights;
    }

    Map<String, long[]> shapes() {
        return shapes;
    }

    BertConfig config() {
        return new BertConfig(style.positionOffset() == 0 ? "bert" : "roberta", HIDDEN, LAYERS, 1e-5f,
                new BertConfig.Embeddings(VOCABULARY, Math.max(0, style.positionOffset() - 1), POSITIONS,
                        style.positionOffset(), style.types == Types.ROW ? 1 : 2),
                new BertConfig.Layer(HEADS, INNER, style.act.activation), 0.02);
    }

    // --- weights -----------------------------------------------------------------------------------------------------

    /** Multiples of 2^-8, which float16 holds exactly. */
    private float[] weight(String name, double bound, double centre, long... shape) {
        int n = 1;
        for (long size : shape) {
            n *= (int) size;
        }
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = Math.round((centre + bound * (2 * random.nextDouble() - 1)) * 256) / 256f;
        }
        weights.put(name, values);
        shapes.put(name, shape);
        return values;
    }

    /** Stored under a name that says nothing. */
    private String store(float[] values, long... shape) {
        String name = "onnx::" + tensors++;
        switch (style.stored) {
            case FLOAT32 -> graph.initialiser(name, values, shape);
            case FLOAT32_DATA -> graph.initialiser(OnnxBuilder.tensor(name, OnnxBuilder.FLOAT, shape, out -> {
                out.writeByteArray(4, littleEndian(values));
            }), name);
            case FLOAT16 -> {
                ByteBuffer bytes = ByteBuffer.allocate(values.length * 2).order(ByteOrder.LITTLE_ENDIAN);
                for (float value : values) {
                    bytes.putShort(half(value));
                }
                graph.initialiser(name, OnnxBuilder.FLOAT16, bytes.array(), shape);
                return cast(name, OnnxBuilder.FLOAT);
            }
        }
        return name;
    }

    private static byte[] littleEndian(float[] values) {
        ByteBuffer bytes = ByteBuffer.allocate(values.length * 4).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(values);
        return bytes.array();
    }

    /** For values that float16 holds exactly. */
    private static short half(float value) {
        int bits = Float.floatToIntBits(value);
        int exponent = (bits >> 23 & 0xff) - 127;
        return (short) (bits >> 16 & 0x8000 | (value == 0 ? 0 : exponent + 15 << 10 | bits >> 13 & 0x3ff));
    }

    private static float[] transposed(float[] values, int rows, int columns) {
        float[] result = new float[values.length];
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < columns; j++) {
                result[j * rows + i] = values[i * columns + j];
            }
        }
        return result;
    }

    // --- words -------------------------------------------------------------------------------------------------------

    private String op(String name, String... inputs) {
        return graph.node(name, inputs);
    }

    private String cast(String value, long type) {
        return graph.node("Cast", List.of(value), Map.of("to", type));
    }

    /** A node whose axes became an input at some version. */
    private String axes(String op, int since, String value, Map<String, Object> attributes, long... axes) {
        if (style.opset >= since) {
            return graph.node(op, List.of(value, graph.integers(axes)), attributes);
        }
        Map<String, Object> all = new LinkedHashMap<>(attributes);
        all.put("axes", axes);
        return graph.node(op, List.of(value), all);
    }

    private String unsqueeze(String value, long... axes) {
        return axes("Unsqueeze", 13, value, Map.of(), axes);
    }

    private String mean(String value) {
        return axes("ReduceMean", 18, value, Map.of("keepdims", 1L), -1);
    }

    private String sum(String value, long keepdims, long axis) {
        return axes("ReduceSum", 13, value, Map.of("keepdims", keepdims), axis);
    }

    private String size(String value, long axis) {
        return graph.node("Gather", List.of(op("Shape", value), graph.integer(axis)), Map.of("axis", 0L));
    }

    /** A shape: numbers, and names of values whose size of the first or second dimension is meant. */
    private String shape(Object... sizes) {
        List<String> parts = new ArrayList<>();
        for (Object size : sizes) {
            parts.add(size instanceof String value ? unsqueeze(value, 0) : graph.integers(((Number) size).longValue()));
        }
        return graph.node("Concat", parts, Map.of("axis", 0L));
    }

    private String transpose(String value, long... order) {
        return graph.node("Transpose", List.of(value), Map.of("perm", order));
    }

    private String layerNorm(String path, String x) {
        String weight = store(weight(path + ".weight", 0.3, 1, HIDDEN), HIDDEN);
        String bias = store(weight(path + ".bias", 0.3, 0, HIDDEN), HIDDEN);
        float epsilon = fault == Fault.EPSILON && path.contains("1.attention") ? 1e-3f : 1e-5f;
        if (fault == Fault.FUSED) {
            return graph.node("com.microsoft:SkipLayerNormalization", List.of(x, x, weight, bias), Map.of());
        }
        if (style.norm == Norm.OP) {
            return graph.node("LayerNormalization", List.of(x, weight, bias),
                    Map.of("axis", -1L, "epsilon", epsilon));
        }
        String centred = op("Sub", x, mean(x));
        String squares = style.norm == Norm.POW ? op("Pow", centred, graph.number(2))
                : op("Mul", centred, op("Sub", x, mean(x)));
        String deviation = op("Sqrt", op("Add", mean(squares), graph.number(epsilon)));
        String normal = style.norm == Norm.RECIPROCAL ? op("Mul", op("Reciprocal", deviation), centred)
                : op("Div", centred, deviation);
        return style.norm == Norm.RECIPROCAL ? op("Add", bias, op("Mul", weight, normal))
                : op("Add", op("Mul", normal, weight), bias);
    }

    /** x [.., in]. */
    private String linear(String path, String x, int in, int out, int rank) {
        float[] values = weight(path + ".weight", 0.5, 0, out, in);
        String bias = store(weight(path + ".bias", 0.3, 0, out), out);
        if (fault == Fault.NO_BIAS && path.endsWith("key")) {
            return op("MatMul", x, store(transposed(values, out, in), in, out));
        }
        boolean asStored = style.dense == Dense.GEMM_TRANSPOSED || style.dense == Dense.TRANSPOSE;
        String weight = asStored ? store(values, out, in) : store(transposed(values, out, in), in, out);
        switch (style.dense) {
            case MATMUL -> {
                return op("Add", op("MatMul", x, weight), bias);
            }
            case BIAS_FIRST -> {
                return op("Add", bias, op("MatMul", x, weight));
            }
            case TRANSPOSE -> {
                return op("Add", op("MatMul", x, transpose(weight, 1, 0)), bias);
            }
            default -> {
                String rows = rank == 2 ? x : op("Reshape", x, graph.integers(-1, in));
                String y = graph.node("Gemm", List.of(rows, weight, bias),
                        Map.of("transB", asStored ? 1L : 0L, "alpha", 1f));
                return rank == 2 ? y : op("Reshape", y, shape(size(ids, 0), size(ids, 1), out));
            }
        }
    }

    private String activation(String x) {
        if (fault == Fault.QUICK_GELU) {
            return op("Mul", x, op("Sigmoid", op("Mul", x, graph.number(1.702f))));
        }
        if (fault == Fault.QUANTIZED) {
            return op("DequantizeLinear", op("QuantizeLinear", x, graph.number(0.1f)), graph.number(0.1f));
        }
        return switch (style.act) {
            case ERF_DIV -> op("Mul", op("Mul", x, op("Add", op("Erf", op("Div", x, graph.number(1.4142135f))),
                    graph.number(1))), graph.number(0.5f));
            case ERF_MUL -> op("Mul", op("Mul", graph.number(0.5f), x), op("Add", graph.number(1),
                    op("Erf", op("Mul", x, graph.number(0.70710677f)))));
            case GELU_OP -> op("Gelu", x);
            case TANH_OP -> graph.node("Gelu", List.of(x), Map.of("approximate", "tanh"));
            case TANH_POW, TANH_MUL -> {
                String cube = style.act == Act.TANH_POW ? op("Pow", x, graph.number(3)) : op("Mul", op("Mul", x, x), x);
                String inner = op("Mul", graph.number(0.7978846f),
                        op("Add", x, op("Mul", graph.number(0.044715f), cube)));
                yield op("Mul", op("Mul", graph.number(0.5f), x), op("Add", op("Tanh", inner), graph.number(1)));
            }
            case RELU -> op("Relu", x);
            case TANH -> op("Tanh", x);
        };
    }

    // --- the model ---------------------------------------------------------------------------------------------------

    private String encoder() {
        String words = op("Gather", store(weight("embeddings.word_embeddings.weight", 1, 0, VOCABULARY, HIDDEN),
                VOCABULARY, HIDDEN), ids);
        String table = store(weight("embeddings.position_embeddings.weight", 1, 0, POSITIONS, HIDDEN), POSITIONS,
                HIDDEN);
        String x = op("Add", op("Add", words, types()), op("Gather", table, positions()));
        x = layerNorm("embeddings.LayerNorm", x);
        String bias = style.mask == Mask.SCORES ? null : bias();
        for (int layer = 0; layer < LAYERS; layer++) {
            x = layer("encoder.layer." + layer + ".", x, bias);
        }
        return x;
    }

    private String types() {
        boolean row = style.types == Types.ROW;
        float[] values = weight("embeddings.token_type_embeddings.weight", 1, 0, row ? 1 : 2, HIDDEN);
        if (row) {
            return store(values, 1, 1, HIDDEN);
        }
        String indices = style.types == Types.INPUT ? graph.input("token_type_ids")
                : op("Expand", graph.integers(0), op("Shape", ids));
        return op("Gather", store(values, 2, HIDDEN), indices);
    }

    private String positions() {
        String length = size(ids, 1);
        if (fault == Fault.INPUT) {
            return graph.input("position_ids");
        }
        if (fault == Fault.POSITIONS) {
            return unsqueeze(op("Range", length, graph.integer(0), graph.integer(-1)), 0);
        }
        switch (style.positions) {
            case BUFFER -> {
                ByteBuffer numbers = ByteBuffer.allocate(POSITIONS * 8).order(ByteOrder.LITTLE_ENDIAN);
                for (long i = 0; i < POSITIONS; i++) {
                    numbers.putLong(i);
                }
                String buffer = graph.initialiser("position_ids", OnnxBuilder.INT64, numbers.array(), 1, POSITIONS);
                return op("Slice", buffer, graph.integers(0), unsqueeze(length, 0), graph.integers(1),
                        graph.integers(1));
            }
            case RANGE -> {
                return unsqueeze(op("Range", graph.integer(0), length, graph.integer(1)), 0);
            }
            default -> {
                String words = cast(op("Not", op("Equal", ids, graph.integer(1))), OnnxBuilder.INT64);
                String count = op("Mul", op("CumSum", words, graph.integer(1)), words);
                return op("Add", count, graph.integer(1));
            }
        }
    }

    /** What is added to scores, [batch, 1, 1 or length, length]. */
    private String bias() {
        String wide = unsqueeze(mask, 1, 2);
        String lowest = graph.number(style.mask == Mask.MINUS_10000 ? -10000 : -Float.MAX_VALUE);
        return switch (style.mask) {
            case BOOL -> op("Where", op("Not", cast(wide, OnnxBuilder.BOOL)), lowest, graph.number(0));
            case EXPANDED -> {
                String expanded = op("Expand", wide, shape(size(ids, 0), 1, size(ids, 1), size(ids, 1)));
                String open = op("Sub", graph.number(1), cast(expanded, OnnxBuilder.FLOAT));
                yield op("Where", cast(open, OnnxBuilder.BOOL), lowest, open);
            }
            default -> op("Mul", op("Sub", graph.number(1), cast(wide, OnnxBuilder.FLOAT)), lowest);
        };
    }

    private String byHeads(String value) {
        return style.heads == Heads.ZEROS ? op("Reshape", value, graph.integers(0, 0, HEADS, HEAD))
                : op("Reshape", value, shape(size(value, 0), size(value, 1), HEADS, HEAD));
    }

    private String flat(String value, Object rows, Object columns) {
        return style.heads != Heads.THREE_DIMENSIONS ? value : op("Reshape", value, shape(-1, rows, columns));
    }

    private String unflat(String value, Object rows, Object columns) {
        return style.heads != Heads.THREE_DIMENSIONS ? value : op("Reshape", value, shape(-1, HEADS, rows, columns));
    }

    /** PyTorch takes the size of heads from the queries' shape for both sides. */
    private String scaled(String value, String query) {
        String root = graph.number((float) Math.sqrt(Math.sqrt(HEAD)));
        if (style.scale == Scale.FROM_SHAPE) {
            String size = op("Slice", op("Shape", query), graph.integers(-1), graph.integers(Long.MAX_VALUE));
            root = op("Sqrt", op("Sqrt", cast(size, OnnxBuilder.FLOAT)));
        }
        return op("Mul", value, op("Div", graph.number(1), root));
    }

    /** The value, or with this fault what Relu makes of it. */
    private String relu(Fault where, String value) {
        return fault == where ? op("Relu", value) : value;
    }

    private String layer(String path, String x, String bias) {
        String length = size(ids, 1);
        String query = linear(path + "attention.self.query", x, HIDDEN, HIDDEN, 3);
        query = switch (fault == null ? Fault.SCALE : fault) {
            case HEADS -> transpose(op("Reshape", query, graph.integers(0, 0, HEAD, HEADS)), 0, 3, 1, 2);
            case FIXED_LENGTH -> transpose(op("Reshape", query, graph.integers(1, 16, HEADS, HEAD)), 0, 2, 1, 3);
            default -> transpose(byHeads(query), 0, 2, 1, 3);
        };
        query = relu(Fault.RELU_QUERY, query);
        String key = byHeads(relu(Fault.RELU_KEY, linear(path + "attention.self.key", x, HIDDEN, HIDDEN, 3)));
        key = style.heads == Heads.TWO_TRANSPOSES ? transpose(transpose(key, 0, 2, 1, 3), 0, 1, 3, 2)
                : transpose(key, 0, 2, 3, 1);
        String value = relu(Fault.RELU_VALUE, transpose(byHeads(linear(path + "attention.self.value", x, HIDDEN, HIDDEN,
                3)), 0, 2, 1, 3));
        if (style.scale == Scale.BOTH || style.scale == Scale.FROM_SHAPE) {
            key = scaled(key, query);
            query = scaled(query, query);
        } else if (style.scale == Scale.QUERY) {
            query = op("Div", query, graph.number((float) Math.sqrt(HEAD)));
        }
        String scores = op("MatMul", flat(query, length, HEAD), flat(key, HEAD, length));
        scores = relu(Fault.RELU_SCORES, unflat(scores, length, length));
        scores = fault == Fault.SWAPPED_SCORES ? transpose(scores, 0, 1, 3, 2) : scores;
        if (style.scale == Scale.DIV) {
            scores = op("Div", scores, graph.number(fault == Fault.SCALE ? HEAD : (float) Math.sqrt(HEAD)));
        } else if (style.scale == Scale.MUL) {
            scores = op("Mul", graph.number((float) (1 / Math.sqrt(HEAD))), scores);
        }
        if (bias == null) {
            String padding = op("Expand", op("Equal", unsqueeze(mask, 1, 2), graph.integer(0)), op("Shape", scores));
            scores = op("Where", padding, graph.number(Float.NEGATIVE_INFINITY), scores);
        } else if (fault != Fault.NO_MASK) {
            scores = op("Add", scores, bias);
        }
        if (fault == Fault.CAUSAL) {
            String places = op("Range", graph.integer(0), length, graph.integer(1));
            String later = op("Greater", unsqueeze(places, 0), unsqueeze(places, 1));
            scores = op("Where", later, graph.number(Float.NEGATIVE_INFINITY), scores);
        }
        if (fault == Fault.RELATIVE_POSITIONS) {
            String places = op("Range", graph.integer(0), length, graph.integer(1));
            String apart = op("Abs", op("Sub", unsqueeze(places, 0), unsqueeze(places, 1)));
            String table = store(weight(path + "relative", 1, 0, POSITIONS, HEADS), POSITIONS, HEADS);
            scores = op("Add", scores, transpose(op("Gather", table, apart), 2, 0, 1));
        }
        String attention = graph.node("Softmax", List.of(scores), Map.of("axis", style.opset < 13 ? 3L : -1L));
        String mixed = relu(Fault.RELU_MIXED, op("MatMul", flat(attention, length, length), flat(value, length, HEAD)));
        String context = transpose(unflat(mixed, length, HEAD), 0, 2, 1, 3);
        context = op("Reshape", context, style.heads == Heads.ZEROS ? graph.integers(0, 0, HIDDEN)
                : shape(size(context, 0), size(context, 1), HIDDEN));
        String attended = linear(path + "attention.output.dense", context, HIDDEN, HIDDEN, 3);
        String before = x;
        x = layerNorm(path + "attention.output.LayerNorm", op("Add", attended, x));
        String inner = activation(linear(path + "intermediate.dense", x, HIDDEN, INNER, 3));
        String y = linear(path + "output.dense", inner, INNER, HIDDEN, 3);
        x = fault == Fault.CARRIED ? before : x;
        return layerNorm(path + "output.LayerNorm", style.dense == Dense.BIAS_FIRST ? op("Add", x, y)
                : op("Add", y, x));
    }

    private String output(String state) {
        if (fault == Fault.RELU_POOLING) {
            return cls(op("Relu", state));
        }
        if (fault == Fault.MAX_POOLING) {
            return graph.node("ReduceMax", List.of(state), Map.of("axes", new long[] {1}, "keepdims", 0L));
        }
        String result = switch (style.output) {
            case STATE -> state;
            case POOLER -> op("Tanh", linear("pooler.dense", cls(state), HIDDEN, HIDDEN, 2));
            case CLS, CLS_NORMALISED -> cls(state);
            case MEAN, MEAN_NORMALISED -> {
                String weights = cast(op("Expand", unsqueeze(mask, -1), op("Shape", state)), OnnxBuilder.FLOAT);
                yield op("Div", sum(op("Mul", state, weights), 0, 1),
                        op("Clip", sum(weights, 0, 1), graph.number(1e-9f)));
            }
        };
        if (!style.isNormalised()) {
            return result;
        }
        String length = axes("ReduceL2", 18, result, Map.of("keepdims", 1L), -1);
        return op("Div", result, op("Expand", op("Clip", length, graph.number(1e-12f)), op("Shape", result)));
    }

    private String cls(String state) {
        return graph.node("Gather", List.of(state, graph.integer(0)), Map.of("axis", 1L));
    }
}
