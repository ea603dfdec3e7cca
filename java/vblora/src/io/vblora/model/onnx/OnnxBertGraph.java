package io.vblora.model.onnx;

import io.vblora.InputException;
import io.vblora.kernels.ops.Activation;
import io.vblora.model.config.BertConfig;
import io.vblora.model.config.Pooling;
import io.vblora.model.onnx.OnnxModules.LayerNorm;
import io.vblora.model.onnx.OnnxModules.Linear;
import io.vblora.onnx.OnnxEvaluator;
import io.vblora.onnx.OnnxFile;
import io.vblora.onnx.OnnxFunctions;
import io.vblora.onnx.OnnxNode;
import io.vblora.onnx.OnnxValue;
import io.vblora.onnx.OnnxValue.Kind;
import java.util.LinkedHashMap;
import java.util.LinkedList;
import java.util.List;
import java.util.Map;
import java.util.function.DoubleUnaryOperator;

/**
 * Finds a BERT-type encoder in a graph. It goes back from the outputs, block by block; between the points of a block
 * (linear layers, products, softmax, layer normalisations) the graph is run with probe numbers and must do what the
 * encoder does there. So masks, scales, activations and the order of heads are checked whatever nodes they are made of.
 */
final class OnnxBertGraph {
    /** float16 rounds an activation's constants by up to 2^-12; the two GELUs differ by 4.7e-4. */
    private static final double ACTIVATION_TOLERANCE = 2e-4;

    private final OnnxFile file;
    private final OnnxEvaluator evaluator;
    private final OnnxModules modules;
    private final Map<String, OnnxBertWeights.Source> tensors = new LinkedHashMap<>();
    private final BertConfig config;
    private final Pooling pooling;
    private final int hidden;
    // Known from the first layer that is met on.
    private Double epsilon;
    private Integer heads;
    private Integer intermediate;
    private Activation activation;

    /**
     * Reads a graph.
     *
     * @throws InputException naming a node, if it is not the graph of such an encoder
     */
    OnnxBertGraph(OnnxFile file) {
        this.file = file;
        this.evaluator = new OnnxEvaluator(file, OnnxSample.inputs(file));
        this.modules = new OnnxModules(file, evaluator);

        String last = lastHiddenState();
        this.hidden = Math.toIntExact(evaluator.value(last).lastSize());
        LinkedList<Layer> layers = new LinkedList<>();
        LayerNorm norm = modules.layerNorm(last);
        for (String state = last; residual(norm.input()) != null; norm = modules.layerNorm(state)) {
            layers.addFirst(layer(state, norm));
            state = layers.getFirst().input;
        }
        if (layers.isEmpty()) {
            throw modules.refused(norm.input(), "no layer", "the sum of a linear layer and of its block's input");
        }
        same("epsilon", epsilon, norm.epsilon(), norm.input());

        OnnxEmbeddings embeddings = new OnnxEmbeddings(file, evaluator, modules, norm.input());
        embeddings.tables().forEach((name, table) -> tensors.put("embeddings." + name + ".weight", table));
        put("embeddings.LayerNorm", norm);
        for (int i = 0; i < layers.size(); i++) {
            put("encoder.layer." + i + ".", layers.get(i));
        }
        OnnxPooling pooled = new OnnxPooling(file, evaluator, modules, last);
        if (pooled.dense() != null) {
            put("pooler.dense", pooled.dense());
        }
        this.pooling = pooled.pooling();
        int offset = embeddings.positionOffset();
        this.config = new BertConfig(offset == 0 ? "bert" : "roberta", hidden, layers.size(), epsilon.floatValue(),
                new BertConfig.Embeddings(rows("word"), Math.max(0, offset - 1), rows("position"), offset,
                        rows("token_type")),
                new BertConfig.Layer(heads, intermediate, activation), BertConfig.USUAL_INITIALIZER_RANGE);
    }

    BertConfig config() {
        return config;
    }

    /** The file's tensors by the names that they have in Hugging Face's models. */
    Map<String, OnnxBertWeights.Source> tensors() {
        return tensors;
    }

    /** Null if the graph does not pool. */
    Pooling pooling() {
        return pooling;
    }

    /** The layer normalisation nearest to the outputs. */
    private String lastHiddenState() {
        String last = null;
        for (String output : file.outputs()) {
            if (!evaluator.value(output).hidden()) {
                continue;
            }
            for (String source : evaluator.sources(output, value -> modules.layerNorm(value) != null)) {
                if (modules.layerNorm(source) != null && (last == null || index(source) > index(last))) {
                    last = modules.behind(source);
                }
            }
        }
        if (last == null) {
            throw new InputException(file.path(), "graph.output", file.outputs().toString(),
                    "the output of an encoder, which ends in a layer normalisation");
        }
        OnnxValue value = evaluator.value(last);
        if (value.rank() != 3 || value.elements() != OnnxSample.tokens() * value.lastSize()
                || value.elements() > OnnxValue.MAX_NUMBERS) {
            throw modules.refused(last, value.toString(), "[batch, length, hidden]");
        }
        return last;
    }

    private int index(String value) {
        return file.producer(value).index();
    }

    private record Layer(String input, Linear query, Linear key, Linear value, Linear attentionOutput,
            LayerNorm attentionNorm, Linear intermediate, Linear output, LayerNorm outputNorm) {}

    /** A sum of a linear layer's output and the layer normalisation that was carried past it. */
    private record Residual(String layer, String carried) {}

    /** Null if the value is no such sum. */
    private Residual residual(String value) {
        OnnxNode node = file.producer(value);
        if (node == null || !node.op().equals("Add")) {
            return null;
        }
        for (int i = 0; i < 2; i++) {
            String carried = modules.behind(node.input(1 - i));
            if (modules.linear(node.input(i)) != null && modules.layerNorm(carried) != null) {
                return new Residual(node.input(i), carried);
            }
        }
        return null;
    }

    private Layer layer(String state, LayerNorm outputNorm) {
        Residual second = residual(outputNorm.input());
        Linear output = modules.linear(second.layer);
        output = modules.required(second.layer, output.inputSize(), hidden);
        int wide = output.inputSize();
        String widened = modules.only(output.input(), value -> modules.linear(value) != null,
                "an activation of a linear layer");
        Linear widening = modules.required(widened, hidden, wide);
        intermediate = same("intermediate size", intermediate, wide, widened);
        activation = same("activation", activation, activation(widened, output.input()), output.input());
        expectInput(widening, second.carried, widened);

        LayerNorm attentionNorm = modules.layerNorm(second.carried);
        Residual first = residual(attentionNorm.input());
        if (first == null) {
            throw modules.refused(attentionNorm.input(), "another operand",
                    "the sum of a linear layer and of its block's input");
        }
        Linear attentionOutput = modules.required(first.layer, hidden, hidden);
        OnnxAttention attention = new OnnxAttention(file, evaluator, modules, attentionOutput.input(), hidden);
        heads = same("number of heads", heads, attention.heads(), attentionOutput.input());
        epsilon = same("epsilon", epsilon, outputNorm.epsilon(), state);
        same("epsilon", epsilon, attentionNorm.epsilon(), second.carried);
        return new Layer(first.carried, projection(attention.query(), first.carried),
                projection(attention.key(), first.carried), projection(attention.value(), first.carried),
                attentionOutput, attentionNorm, widening, output, outputNorm);
    }

    private Linear projection(String value, String input) {
        Linear layer = modules.required(value, hidden, hidden);
        expectInput(layer, input, value);
        return layer;
    }

    private void expectInput(Linear layer, String input, String value) {
        if (!layer.input().equals(input)) {
            throw modules.refused(value, "a layer that reads \"" + layer.input() + "\"",
                    "one that reads \"" + input + "\"");
        }
    }

    /** What is so in one layer is so in all. */
    private <T> T same(String what, T before, T now, String value) {
        if (before != null && !before.equals(now)) {
            throw modules.refused(value, what + " " + now, before + ", as in other layers");
        }
        return now;
    }

    private Activation activation(String from, String to) {
        OnnxValue shape = evaluator.value(from);
        double last = Math.max(1, shape.elements() - 1);
        double[] x = modules.probe(from, i -> -8 + 16 * i / last);
        double[] y = evaluator.evaluate(to, Map.of(from, OnnxValue.of(Kind.FLOAT, x, shape.shape()))).data();
        for (Activation candidate : Activation.values()) {
            if (isFunction(function(candidate), x, y)) {
                return candidate;
            }
        }
        throw modules.refused(to, "another activation", "GELU, its approximation by tanh, ReLU or tanh");
    }

    private static boolean isFunction(DoubleUnaryOperator f, double[] x, double[] y) {
        for (int i = 0; i < Math.min(x.length, y.length); i++) {
            if (!OnnxModules.near(f.applyAsDouble(x[i]), y[i], ACTIVATION_TOLERANCE)) {
                return false;
            }
        }
        return x.length == y.length;
    }

    private static DoubleUnaryOperator function(Activation activation) {
        return switch (activation) {
            case GELU -> OnnxFunctions::gelu;
            case GELU_TANH -> OnnxFunctions::geluTanh;
            case RELU -> x -> Math.max(x, 0);
            case TANH -> Math::tanh;
        };
    }

    // --- names -------------------------------------------------------------------------------------------------------

    private int rows(String table) {
        return Math.toIntExact(tensors.get("embeddings." + table + "_embeddings.weight").shape().get(0));
    }

    private void put(String prefix, Layer layer) {
        put(prefix + "attention.self.query", layer.query);
        put(prefix + "attention.self.key", layer.key);
        put(prefix + "attention.self.value", layer.value);
        put(prefix + "attention.output.dense", layer.attentionOutput);
        put(prefix + "attention.output.LayerNorm", layer.attentionNorm);
        put(prefix + "intermediate.dense", layer.intermediate);
        put(prefix + "output.dense", layer.output);
        put(prefix + "output.LayerNorm", layer.outputNorm);
    }

    private void put(String path, Linear layer) {
        long out = layer.outputSize();
        tensors.put(path + ".weight", new OnnxBertWeights.Source(layer.weight(),
                List.of(out, (long) layer.inputSize()), layer.transposed()));
        tensors.put(path + ".bias", new OnnxBertWeights.Source(layer.bias(), List.of(out), false));
    }

    private void put(String path, LayerNorm norm) {
        List<Long> shape = List.of((long) hidden);
        tensors.put(path + ".weight", new OnnxBertWeights.Source(norm.weight(), shape, false));
        tensors.put(path + ".bias", new OnnxBertWeights.Source(norm.bias(), shape, false));
    }
}
