package io.vblora.model;

import static io.vblora.kernels.global.vblora.VBL_IGNORE_INDEX;

import io.vblora.InputException;
import io.vblora.kernels.Arena;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import io.vblora.kernels.ops.Transformer;
import io.vblora.model.config.LlamaConfig;
import io.vblora.weights.WeightSource;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A Llama-type decoder from a Hugging Face folder whose config.json has model_type llama: RMSNorm,
 * rotary positions (default, linear or llama3 scaling), grouped-query attention, SiLU-gated MLP, with or without
 * biases, tied or untied output head, weights in float32, bfloat16 or float16. Modules are named as there, for example
 * {@code model.layers.0.self_attn.q_proj}.
 *
 * <p>Threads may compute with one model at the same time, each with its own {@link Execution} and stream: {@link
 * #logits} and {@link #lossSum}, with the bits that they have alone. {@link #addGradients}, which adds to the
 * adapter's gradients, {@link #attach} and {@link #close} are for one thread while no other computes. A thread that
 * comes at the wrong time gets an {@link IllegalStateException} and changes nothing.
 */
public final class LlamaModel extends AdaptableModel {
    private static final List<String> LAYER_LINEARS = List.of("self_attn.q_proj", "self_attn.k_proj",
            "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj");
    private static final Pattern LAYER = Pattern.compile("model\\.layers\\.(\\d{1,9})\\..*", Pattern.DOTALL);
    /** Logits are computed for so many numbers at a time: they are by far the largest intermediate. */
    private static final long LOGITS_AT_ONCE = 1 << 22;

    private final LlamaConfig config;
    private final RotaryEmbedding rotary;
    private final List<Tensor> weights = new ArrayList<>();
    private Embedding embedding;
    private LayerStack<LlamaLayer.Saved> layers;
    private RmsNorm norm;
    private Linear head;

    private LlamaModel(LlamaConfig config) {
        super(new ModelUse());
        this.config = config;
        this.rotary = new RotaryEmbedding(config.rope(), config.headDim(), config.maxPositionEmbeddings());
    }

    /**
     * Loads a model.
     *
     * @param folder with config.json and model.safetensors, or model.safetensors.index.json and its shards
     * @param dtype in which the weights of embeddings and linear layers are held, or null to hold them as they are
     * stored
     * @throws InputException if the folder does not hold a Llama-type model
     */
    public static LlamaModel load(Path folder, DType dtype, Stream stream) {
        LlamaModel model = new LlamaModel(LlamaConfig.read(folder));
        try (WeightSource source = WeightSource.open(folder)) {
            model.checkLayers(source, folder);
            model.readWeights(source, dtype, stream);
            return model;
        } catch (RuntimeException | Error e) {
            model.close();
            throw e;
        }
    }

    /** Refuses weights of more layers than the configuration has, which would be left out without a word. */
    private void checkLayers(WeightSource source, Path folder) {
        int stored = source.names().stream().map(LAYER::matcher).filter(Matcher::matches)
                .mapToInt(name -> Integer.parseInt(name.group(1)) + 1).max().orElse(0);
        if (stored > config.numHiddenLayers()) {
            throw new InputException(folder.resolve("config.json"), "num_hidden_layers",
                    Integer.toString(config.numHiddenLayers()),
                    stored + ", as the weights have model.layers." + (stored - 1));
        }
    }

    private void readWeights(WeightSource source, DType dtype, Stream stream) {
        WeightReader reader = new WeightReader(source, dtype, stream, weights);
        long hidden = config.hiddenSize();
        Tensor tokens = reader.matrix("model.embed_tokens.weight", config.vocabSize(), hidden);
        embedding = new Embedding(new Parameter("model.embed_tokens.weight", tokens), config.padTokenId());
        long queries = (long) config.numAttentionHeads() * config.headDim();
        long keys = (long) config.numKeyValueHeads() * config.headDim();
        long inner = config.intermediateSize();
        long[][] shapes = {{queries, hidden}, {keys, hidden}, {keys, hidden}, {hidden, queries}, {inner, hidden},
            {inner, hidden}, {hidden, inner}};
        List<LlamaLayer> all = new ArrayList<>();
        for (int layer = 0; layer < config.numHiddenLayers(); layer++) {
            String prefix = "model.layers." + layer + ".";
            List<Linear> linears = new ArrayList<>();
            for (int i = 0; i < shapes.length; i++) {
                String path = prefix + LAYER_LINEARS.get(i);
                boolean hasBias = i < 4 ? config.attentionBias() : config.mlpBias();
                linears.add(new Linear(path,
                        new Parameter(path + ".weight", reader.matrix(path + ".weight", shapes[i][0], shapes[i][1])),
                        hasBias ? new Parameter(path + ".bias", reader.vector(path + ".bias", shapes[i][0])) : null));
            }
            all.add(new LlamaLayer(config, rotary, norm(reader, prefix + "input_layernorm.weight"),
                    norm(reader, prefix + "post_attention_layernorm.weight"), linears));
        }
        layers = new LayerStack<>(all);
        norm = norm(reader, "model.norm.weight");
        head = new Linear("lm_head", new Parameter("lm_head.weight", config.tieWordEmbeddings() ? tokens
                : reader.matrix("lm_head.weight", config.vocabSize(), hidden)), null);
    }

    private RmsNorm norm(WeightReader reader, String name) {
        return new RmsNorm(new Parameter(name, reader.vector(name, config.hiddenSize())), config.rmsNormEps());
    }

    public LlamaConfig config() {
        return config;
    }

    @Override
    List<ModelPart> parts() {
        List<ModelPart> parts = new ArrayList<>(List.of(embedding));
        parts.addAll(layers.layers());
        parts.addAll(List.of(norm, head));
        return parts;
    }

    /** Numbers in the weights. */
    public long parameterCount() {
        return weights.stream().mapToLong(Tensor::elements).sum();
    }

    /** Logits [tokens, vocab]. */
    public float[] logits(Execution execution, TokenBatch batch) {
        check(batch);
        Inputs inputs = new Inputs();
        Tokens.Given given = Tokens.give(inputs, batch, 0, false);
        return reading(execution, batch, () -> execution.evaluate(shape("logits", batch), inputs, pass -> {
            Tensor hidden = hidden(pass, given.in(pass));
            Tensor logits = pass.arena().floats(batch.tokens(), config.vocabSize());
            head.forward(pass, 0, batch.tokens(), hidden, head.takeP(pass.arena(), batch.tokens()), logits, false);
            return logits;
        }, Tensor::toFloats));
    }

    /**
     * The sum of the cross-entropy over all label tokens.
     *
     * @param labels [tokens], aligned with the batch's inputIds and shifted here: each token is scored on the label of
     * the next one in its sequence, -100 does not count
     */
    public double lossSum(Execution execution, TokenBatch batch, int[] labels) {
        check(batch, labels);
        Inputs inputs = new Inputs();
        Tokens.Given given = Tokens.give(inputs, batch, 0, false);
        Inputs.Place targets = inputs.ints(batch.next(labels, VBL_IGNORE_INDEX));
        return reading(execution, batch, () -> execution.evaluate(shape("loss", batch), inputs, pass -> {
            Tensor lossSum = pass.arena().take(DType.FLOAT64, 1);
            Memory.zero(pass.stream(), lossSum);
            headLoss(pass, hidden(pass, given.in(pass)), pass.input(targets), lossSum, null, null);
            return lossSum;
        }, lossSum -> lossSum.toDoubles()[0]));
    }

    /**
     * A training pass, with dropout: adds {@link #lossSum} to {@link Training#lossSum}, and its gradients to the
     * attached adapter's. It does not wait for the stream.
     *
     * @param labels as {@link #lossSum}
     * @throws IllegalStateException without an adapter, or if its training is not enabled
     */
    public void addGradients(Execution execution, TokenBatch batch, int[] labels, Training training) {
        if (adapter() == null) {
            throw new IllegalStateException("No adapter is attached: there is nothing to train");
        }
        check(batch, labels);
        Inputs inputs = new Inputs();
        Tokens.Given given = Tokens.give(inputs, batch, 0, false);
        Inputs.Place targets = inputs.ints(batch.next(labels, VBL_IGNORE_INDEX));
        Inputs.Place scale = inputs.scalar((float) training.gradientScale());
        use().training(() -> {
            rotary.reserve(execution.stream(), batch.longest());
            execution.train(shape("gradients", batch), inputs, training.step(), pass -> addGradients(pass,
                    given.in(pass), pass.input(targets), training.lossSum(), pass.input(scale)));
        });
    }

    private void addGradients(Pass pass, Tokens batch, Tensor targets, Tensor lossSum, Tensor scale) {
        LayerStack<LlamaLayer.Saved>.Tape tape =
                layers.forwardToTrain(pass, batch, embedded(pass, batch), embedding.isTrained());
        Tensor normed = pass.arena().floats(batch.count(), config.hiddenSize());
        Tensor rstd = norm.forward(pass, tape.output(), normed);
        Tensor dx = pass.arena().floats(batch.count(), config.hiddenSize());
        Tensor dnormed = pass.arena().floats(batch.count(), config.hiddenSize());
        headLoss(pass, normed, targets, lossSum, scale, dnormed);
        Memory.zero(pass.stream(), dx);
        norm.backward(pass, dnormed, tape.output(), rstd, dx);
        tape.backward(pass, batch, dx);
        embedding.backward(pass, batch.ids(), dx);
    }

    /** A pass over a batch, for which there are positions enough then. */
    private <T> T reading(Execution execution, TokenBatch batch, Supplier<T> pass) {
        return use().reading(() -> {
            rotary.reserve(execution.stream(), batch.longest());
            return pass.get();
        });
    }

    private PassShape shape(String kind, TokenBatch batch) {
        return PassShape.of(kind, batch, use().layout());
    }

    /** The output of the embeddings [tokens, hidden]. */
    private Tensor embedded(Pass pass, Tokens batch) {
        Tensor x = pass.arena().floats(batch.count(), config.hiddenSize());
        embedding.forward(pass, batch.ids(), x, false);
        return x;
    }

    /** The normalised output of the last layer [tokens, hidden]. */
    private Tensor hidden(Pass pass, Tokens batch) {
        Tensor last = layers.forward(pass, batch, embedded(pass, batch));
        Tensor normed = pass.arena().floats(last.shape());
        norm.forward(pass, last, normed);
        return normed;
    }

    /**
     * Adds the loss of the output head to lossSum, a few rows at a time.
     *
     * @param scale of the gradients; null without them
     * @param dnormed the gradient of its input, written; null for none
     */
    private void headLoss(Pass pass, Tensor normed, Tensor targets, Tensor lossSum, Tensor scale, Tensor dnormed) {
        Arena arena = pass.arena();
        long tokens = targets.elements();
        long rows = Math.min(tokens, Math.max(16, LOGITS_AT_ONCE / config.vocabSize()));
        for (long row = 0; row < tokens; row += rows) {
            long mark = arena.mark();
            long n = Math.min(rows, tokens - row);
            Tensor x = normed.view(row * config.hiddenSize(), n, config.hiddenSize());
            Tensor logits = arena.floats(n, config.vocabSize());
            Tensor p = head.takeP(arena, n);
            head.forward(pass, row, n, x, p, logits, false);
            Transformer.crossEntropy(pass.stream(), arena, logits, targets.view(row, n), scale, lossSum,
                    dnormed == null ? null : logits);
            if (dnormed != null) {
                head.backward(pass, row, n, x, logits, p,
                        dnormed.view(row * config.hiddenSize(), n, config.hiddenSize()), false);
            }
            arena.release(mark);
        }
    }

    private void check(TokenBatch batch) {
        if (batch.longest() > config.maxPositionEmbeddings()) {
            throw new InputException("batch", "length", batch.longest() + " tokens", "at most max_position_embeddings, "
                    + config.maxPositionEmbeddings());
        }
    }

    private void check(TokenBatch batch, int[] labels) {
        check(batch);
        if (labels.length != batch.tokens()) {
            throw new IllegalArgumentException(batch.tokens() + " inputIds have as many labels, found "
                    + labels.length);
        }
    }

    @Override
    public void close() {
        use().close(() -> {
            rotary.close();
            weights.forEach(Tensor::close);
        });
    }
}
