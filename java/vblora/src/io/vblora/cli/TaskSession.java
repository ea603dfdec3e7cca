package io.vblora.cli;

import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import io.vblora.data.TokenSequence;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.model.Adaptable;
import io.vblora.train.Objective;
import java.nio.file.Path;
import java.util.List;

/**
 * A task and a model on the way from files to something that can be trained or scored: first data is read, then the
 * model is loaded, then an adapter attached.
 *
 * @param <E> the examples
 */
interface TaskSession<E extends TokenSequence> extends AutoCloseable {
    /**
     * Reads a file of examples and says what it holds. The first file decides what all share, such as the labels,
     * where nothing has decided it before.
     *
     * @param what the data is called
     */
    List<E> read(String what, Path file);

    /** Which rows of the file that was read last gave no example: their indices, from 0, in order. */
    List<Integer> skipped();

    /** Loads the model; after the data. {@code dtype} may be null: as the weights are stored. */
    void load(DType dtype, Stream stream);

    /** The model, once it is loaded. */
    Adaptable model();

    /** A new adapter for the model; the caller's. */
    default Adapter newAdapter(AdapterConfig config, Stream stream, long seed) {
        return Adapter.create(config, model().linears(), model().parameters(), model().initializerRange(), stream,
                seed);
    }

    /** Attaches an adapter, which stays the caller's, and tells it what else is needed to use it. */
    Objective<E> attach(Adapter adapter);

    @Override
    void close();
}
