package io.vblora.model;

import io.vblora.InputException;
import io.vblora.JsonFields;
import io.vblora.adapter.ModuleShape;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.model.config.BertConfig;
import io.vblora.model.config.Pooling;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.BiFunction;

/**
 * A BERT-type encoder: embeddings, layers normalised after their residual connections,
 * bidirectional attention, and a pooler if the weights have one. It is read from a Hugging Face folder whose
 * config.json has model_type bert, roberta or xlm-roberta, or from an ONNX file. No dropout of its own is drawn.
 *
 * <p>Threads may compute with one model at the same time, each with its own {@link Execution} and stream, with the bits
 * that they have alone; {@link #close} is for one thread while no other computes.
 */
public final class BertModel implements AutoCloseable {
    private static final String POOLER_DENSE = "pooler.dense";

    private final BertConfig config;
    private final Path folder;
    private final Optional<Pooling> graphPooling;
    private final List<Tensor> weights;
    private final ModelUse use = new ModelUse();
    private final BertEmbeddings embeddings;
    private final LayerStack<BertLayer.Saved> layers;
    private final LinearGroup poolerDense;

    /** Whether a path leads to an encoder rather than to another model: it may be one that cannot be read. */
    public static boolean isAt(Path model) {
        return BertSource.isAt(model);
    }

    /**
     * The architecture of an encoder, without its weights being read.
     *
     * @param model as {@link #load}
     * @throws InputException if it is not a BERT-type encoder
     */
    public static BertConfig config(Path model) {
        try (BertSource source = BertSource.open(model)) {
            return source.config();
        }
    }

    /**
     * Loads an encoder.
     *
     * @param model a folder with config.json and safetensors files, as Hugging Face writes it, with the names of
     * weights with or without their prefix; or a folder with model.onnx or onnx/model.onnx; or an ONNX file
     * @param dtype in which the weights of embeddings and linear layers are held, or null to hold them as they are
     * stored
     * @throws InputException if it is not a BERT-type encoder
     */
    public static BertModel load(Path model, DType dtype, Stream stream) {
        try (BertSource source = BertSource.open(model)) {
            return WeightReader.load(source.weights(), dtype, stream, reader -> new BertModel(source, reader));
        }
    }

    private BertModel(BertSource source, WeightReader reader) {
        config = source.config();
        folder = source.folder();
        graphPooling = source.pooling();
        weights = reader.tensors();
        long hidden = config.hiddenSize();
        long inner = config.layer().intermediateSize();
        String prefix = source.prefix();
        BertConfig.Embeddings tables = config.embeddings();
        embeddings = new BertEmbeddings(
                table(reader, prefix, "embeddings.word_embeddings", tables.vocabSize(), tables.padTokenId()),
                table(reader, prefix, "embeddings.position_embeddings", tables.maxPositionEmbeddings(),
                        tables.positionOffset() - 1),
                table(reader, prefix, "embeddings.token_type_embeddings", tables.typeVocabSize(), -1),
                layerNorm(source, reader, "embeddings.LayerNorm"));
        List<BertLayer> all = new ArrayList<>();
        for (int layer = 0; layer < config.numHiddenLayers(); layer++) {
            String path = "encoder.layer." + layer + ".";
            String ofAttention = path + "attention.self.";
            all.add(new BertLayer(config,
                    linears(reader, prefix, List.of(ofAttention + "query", ofAttention + "key", ofAttention + "value"),
                            hidden, hidden),
                    linears(reader, prefix, List.of(path + "attention.output.dense"), hidden, hidden),
                    linears(reader, prefix, List.of(path + "intermediate.dense"), inner, hidden),
                    linears(reader, prefix, List.of(path + "output.dense"), hidden, inner),
                    layerNorm(source, reader, path + "attention.output.LayerNorm"),
                    layerNorm(source, reader, path + "output.LayerNorm")));
        }
        layers = new LayerStack<>(all);
        poolerDense = source.weights().contains(prefix + POOLER_DENSE + ".weight")
                ? linears(reader, prefix, List.of(POOLER_DENSE), hidden, hidden) : null;
    }

    /** A module's name as in a model with a head. */
    private String named(String path) {
        return (config.isRoberta() ? "roberta." : "bert.") + path;
    }

    /** Layers that read the same input, each from in to out features. */
    private LinearGroup linears(WeightReader reader, String prefix, List<String> paths, long out, long in) {
        long[] outs = new long[paths.size()];
        Arrays.fill(outs, out);
        return reader.linears(paths.stream().map(this::named).toList(),
                path -> prefix + path.substring(named("").length()), outs, in, true);
    }

    private Embedding table(WeightReader reader, String prefix, String path, long rows, int paddingRow) {
        return new Embedding(new Parameter(named(path) + ".weight",
                reader.matrix(prefix + path + ".weight", rows, config.hiddenSize())), paddingRow);
    }

    /** The linear layer of a pooler, which an encoder of this architecture, and its adapters, may have. */
    ModuleShape poolerShape() {
        return new ModuleShape(named(POOLER_DENSE), config.hiddenSize(), config.hiddenSize());
    }

    /** Older files call weight and bias gamma and beta. */
    private LayerNorm layerNorm(BertSource source, WeightReader reader, String path) {
        String stored = source.prefix() + path;
        boolean old = source.weights().contains(stored + ".gamma") && !source.weights().contains(stored + ".weight");
        return new LayerNorm(new Parameter(named(path) + ".weight",
                reader.vector(stored + (old ? ".gamma" : ".weight"), config.hiddenSize())),
                new Parameter(named(path) + ".bias",
                        reader.vector(stored + (old ? ".beta" : ".bias"), config.hiddenSize())), config.layerNormEps());
    }

    public BertConfig config() {
        return config;
    }

    /** Numbers in the weights. */
    public long parameterCount() {
        return weights.stream().mapToLong(Tensor::elements).sum();
    }

    /**
     * How the model is pooled where nothing else is asked for: as {@link #statedPooling} says, else as Hugging Face's
     * class for sequence classification does: RoBERTa's family by the first token, others by the pooler; by the mean if
     * there is none.
     *
     * @throws InputException as {@link #statedPooling}
     */
    public Pooling defaultPooling() {
        return statedPooling().orElse(config.isRoberta() ? Pooling.CLS
                : poolerDense == null ? Pooling.MEAN : Pooling.POOLER);
    }

    /**
     * How the model itself says that it is pooled: in 1_Pooling/config.json of its folder, which sentence-transformers
     * writes, else by what its ONNX graph does; empty if neither says anything.
     *
     * @throws InputException if 1_Pooling/config.json names another way, or several, whose vectors would be joined
     */
    public Optional<Pooling> statedPooling() {
        Path file = folder.resolve("1_Pooling").resolve("config.json");
        if (!Files.exists(file)) {
            return graphPooling;
        }
        JsonFields pooling = JsonFields.read(file);
        boolean cls = pooling.bool("pooling_mode_cls_token", false);
        if (!cls && !pooling.bool("pooling_mode_mean_tokens", false)) {
            throw pooling.wrong("pooling_mode_mean_tokens", "true, or pooling_mode_cls_token true");
        }
        String mode = cls ? "pooling_mode_cls_token" : "pooling_mode_mean_tokens";
        pooling.object().fieldNames().forEachRemaining(field -> {
            if (field.startsWith("pooling_mode_") && !field.equals(mode) && pooling.bool(field, false)) {
                throw pooling.wrong(field, "false beside " + mode + ": one way");
            }
        });
        return Optional.of(cls ? Pooling.CLS : Pooling.MEAN);
    }

    /**
     * The output of the last layer [tokens, hidden].
     *
     * @throws InputException if a sequence is longer than the model has positions, or holds tokens or types that it
     * lacks
     */
    public float[] lastHiddenState(Execution execution, TokenBatch batch) {
        check(batch);
        return evaluate(execution, "lastHiddenState", batch, this::hidden);
    }

    /**
     * A vector per sequence [size, hidden].
     *
     * @param normalize whether to divide each by its Euclidean length
     * @throws InputException if sequences do not fit the model, or it has no pooler and that is asked for
     */
    public float[] embeddings(Execution execution, TokenBatch batch, Pooling pooling, boolean normalize) {
        check(batch);
        Pooler pooler = pooler(pooling);
        float[] pooled = evaluate(execution, pooling.toString(), batch, (pass, tokens) -> {
            Tensor features = pass.arena().floats(batch.size(), config.hiddenSize());
            pooler.forward(pass, tokens, hidden(pass, tokens), features);
            return features;
        });
        if (normalize) {
            for (int start = 0; start < pooled.length; start += config.hiddenSize()) {
                normalize(pooled, start, config.hiddenSize());
            }
        }
        return pooled;
    }

    private static void normalize(float[] values, int start, int n) {
        double squares = 0;
        for (int i = start; i < start + n; i++) {
            squares += (double) values[i] * values[i];
        }
        double length = Math.max(Math.sqrt(squares), 1e-12);
        for (int i = start; i < start + n; i++) {
            values[i] = (float) (values[i] / length);
        }
    }

    /** Numbers that ops make of a batch, without dropout. */
    float[] evaluate(Execution execution, String kind, TokenBatch batch, BiFunction<Pass, Tokens, Tensor> ops) {
        Inputs inputs = new Inputs();
        return use.reading(updates -> {
            Tokens.Given given = give(inputs, batch, updates.slots(batch));
            return execution.evaluate(given.shape(kind, updates), updates, inputs,
                    pass -> ops.apply(pass, given.in(pass)), Tensor::toFloats);
        });
    }

    /** Who computes with the model, and the adapter that a {@link SequenceModel} attaches to it. */
    ModelUse use() {
        return use;
    }

    /** All parts but the pooler, in the order of the model. */
    List<ModelPart> parts() {
        List<ModelPart> parts = new ArrayList<>(List.of(embeddings));
        parts.addAll(layers.layers());
        return parts;
    }

    /**
     * What pools the output of the last layer.
     *
     * @throws InputException if the model has no pooler and that is asked for
     */
    Pooler pooler(Pooling pooling) {
        if (pooling == Pooling.POOLER && poolerDense == null) {
            throw new InputException(folder, "pooling", "pooler, but no weights pooler.dense", "cls or mean");
        }
        return new Pooler(pooling, pooling == Pooling.POOLER ? poolerDense : null);
    }

    /**
     * @throws InputException if a sequence is longer than the model has positions, or holds tokens or types that it
     * lacks
     */
    void check(TokenBatch batch) {
        if (batch.longest() > config.maxLength()) {
            throw new InputException("batch", "length", batch.longest() + " tokens", "at most " + config.maxLength()
                    + ", for which the model has positions");
        }
        batch.checkIds(config.embeddings().vocabSize());
        batch.checkTypes(config.embeddings().typeVocabSize());
    }

    /** Adds a batch to the inputs of a pass. */
    Tokens.Given give(Inputs inputs, TokenBatch batch, int[] slots) {
        return Tokens.give(inputs, batch, slots, config.embeddings().positionOffset(), true);
    }

    /** Whether embeddings or a layer have something to train. */
    boolean isTrained(Updates updates) {
        return updates.holdsAnyOf(embeddings) || layers.isTrained(updates);
    }

    /** The output of the last layer [tokens, hidden]. */
    Tensor hidden(Pass pass, Tokens batch) {
        Tensor x = pass.arena().floats(batch.count(), config.hiddenSize());
        embeddings.forward(pass, batch, x);
        return layers.forward(pass, batch, x);
    }

    /** Does what {@link #hidden} does, and keeps what {@link #backward} then reads. */
    Tape hiddenToTrain(Pass pass, Tokens batch) {
        Tensor x = pass.arena().floats(batch.count(), config.hiddenSize());
        boolean trained = pass.trains(embeddings);
        BertEmbeddings.Saved saved = null;
        if (trained) {
            saved = embeddings.forwardToTrain(pass, batch, x);
        } else {
            embeddings.forward(pass, batch, x);
        }
        return new Tape(saved, layers.forwardToTrain(pass, batch, x, trained));
    }

    /**
     * A forward pass, for its backward pass.
     *
     * @param embeddings null unless they are trained
     */
    record Tape(BertEmbeddings.Saved embeddings, LayerStack<BertLayer.Saved>.Tape layers) {
        /** The output of the last layer [tokens, hidden]. */
        Tensor output() {
            return layers.output();
        }
    }

    /** Adds the adapter's gradients; dx [tokens, hidden], the gradient of the output, is undefined afterwards. */
    void backward(Pass pass, Tokens batch, Tape tape, Tensor dx) {
        tape.layers.backward(pass, batch, dx);
        if (tape.embeddings != null) {
            embeddings.backward(pass, batch, tape.embeddings, dx);
        }
    }

    /**
     * Frees the weights.
     *
     * @throws IllegalStateException if another thread computes with the model
     */
    @Override
    public void close() {
        use.close(() -> weights.forEach(Tensor::close));
    }
}
