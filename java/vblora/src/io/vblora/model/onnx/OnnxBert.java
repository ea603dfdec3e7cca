package io.vblora.model.onnx;

import io.vblora.model.config.BertConfig;
import io.vblora.model.config.Pooling;
import io.vblora.onnx.OnnxFile;
import io.vblora.weights.WeightSource;
import java.nio.file.Path;
import java.util.Optional;

/**
 * A BERT-type encoder in an ONNX file: its configuration, derived from the graph, and its weights under Hugging Face's
 * names. What the graph computes is found by following it from its outputs back to its inputs and by running parts of
 * it for small inputs; names of nodes and tensors are not relied on. A graph that computes anything else than the
 * encoder that {@link #config} describes is refused. Close it when all is read.
 */
public final class OnnxBert implements AutoCloseable {
    private final BertConfig config;
    private final WeightSource weights;
    private final Pooling pooling;

    private OnnxBert(BertConfig config, WeightSource weights, Pooling pooling) {
        this.config = config;
        this.weights = weights;
        this.pooling = pooling;
    }

    /**
     * Opens a file and reads its graph.
     *
     * @throws io.vblora.InputException naming the file and node, if it is no ONNX file, or not that of such an encoder
     */
    public static OnnxBert open(Path onnxFile) {
        OnnxFile file = OnnxFile.open(onnxFile);
        try {
            OnnxBertGraph graph = new OnnxBertGraph(file);
            return new OnnxBert(graph.config(), new OnnxBertWeights(file, graph.tensors()), graph.pooling());
        } catch (RuntimeException | Error e) {
            file.close();
            throw e;
        }
    }

    /** The architecture. The family is RoBERTa's where positions do not begin at 0. */
    public BertConfig config() {
        return config;
    }

    /**
     * The tensors of {@link #config}'s encoder, and of {@code pooler.dense} if the graph has one, under the names that
     * Hugging Face's BertModel and RobertaModel give them, without a prefix; matrices are [out, in] whatever way the
     * file has them. Closed with this object.
     */
    public WeightSource weights() {
        return weights;
    }

    /** How the graph itself makes one vector of a text; empty if it only gives the last hidden state. */
    public Optional<Pooling> pooling() {
        return Optional.ofNullable(pooling);
    }

    @Override
    public void close() {
        weights.close();
    }
}
