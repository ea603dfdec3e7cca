package io.vblora.model;

import io.vblora.InputException;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.model.config.DecoderConfig;
import java.nio.file.Path;

/**
 * A language model that predicts the next token. Threads may ask for {@link #logits} and {@link #lossSum} at the same
 * time, each with its own execution and stream, and get the bits that they would have alone; {@link #addGradients} is
 * for one thread while no other computes.
 */
public interface CausalLm extends Adaptable {
    /**
     * Loads the model of a Hugging Face folder, of the architecture that model_type in its config.json names.
     *
     * @param folder with config.json and model.safetensors, or model.safetensors.index.json and its shards
     * @param dtype in which the weights of embeddings and linear layers are held, or null to hold them as they are
     * stored
     * @throws InputException if the folder holds no such model, or one of an architecture that is not known
     */
    static CausalLm load(Path folder, DType dtype, Stream stream) {
        return CausalLmArchitectures.of(folder).load(folder, dtype, stream);
    }

    /**
     * What config.json says of a model, without its weights being read.
     *
     * @throws InputException as {@link #load}, as far as that is seen without the weights
     */
    static DecoderConfig config(Path folder) {
        return CausalLmArchitectures.of(folder).config(folder);
    }

    DecoderConfig config();

    /**
     * Logits [tokens, vocab].
     *
     * @throws InputException if a sequence is longer than the model has positions, or holds tokens that it lacks
     */
    float[] logits(Execution execution, TokenBatch batch);

    /**
     * The sum of the cross-entropy over all label tokens.
     *
     * @param labels [tokens], aligned with the batch's inputIds and shifted here: each token is scored on the label of
     * the next one in its sequence, -100 does not count
     * @throws InputException as {@link #logits}, or if a label is neither a token nor -100
     */
    double lossSum(Execution execution, TokenBatch batch, int[] labels);

    /**
     * A training pass, with dropout: adds {@link #lossSum} to {@link Training#lossSum}, and its gradients to the
     * attached adapter's. It does not wait for the stream.
     *
     * @param labels as {@link #lossSum}
     * @throws InputException as {@link #lossSum}
     * @throws IllegalStateException without an adapter, or if its training is not enabled
     */
    void addGradients(Execution execution, TokenBatch batch, int[] labels, Training training);
}
