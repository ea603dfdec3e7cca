package io.vblora.optimizer.adamw;

import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.AdamWGroups;
import io.vblora.kernels.ops.StepState;
import io.vblora.parameters.NamedTensors;
import java.util.Map;

/** AdamW's two moments for the parameters in one buffer, and how that buffer is updated. */
interface Moments extends AutoCloseable {
    /** Makes room for what an update can add. */
    default void prepare(Stream stream) {}

    /** Gives the update's ops to the stream, which read the constants of this buffer's group. */
    void update(Stream stream, StepState step, AdamWGroups groups);

    /** Notes that the update's ops were given to the stream. */
    default void updated(Stream stream) {}

    /** Adds both moments under the parameters' names, after the stream has written them. */
    void addTo(Stream stream, NamedTensors expAvg, NamedTensors expAvgSq);

    /** Requires both moments under the parameters' names. */
    void check(Map<String, Tensor> expAvg, Map<String, Tensor> expAvgSq);

    /** Sets checked moments. If it lacks the memory for that, they stay as they were. */
    void load(Stream stream, Map<String, Tensor> expAvg, Map<String, Tensor> expAvgSq);

    /** Whether {@link #load} allocates memory, for want of which it may fail. */
    boolean allocatesToLoad();

    @Override
    void close();
}
