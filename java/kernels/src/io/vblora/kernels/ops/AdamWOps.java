package io.vblora.kernels.ops;

import static io.vblora.kernels.global.vblora.vbl_active_copy;
import static io.vblora.kernels.global.vblora.vbl_active_load;
import static io.vblora.kernels.global.vblora.vbl_active_scratch_bytes;
import static io.vblora.kernels.global.vblora.vbl_active_store;
import static io.vblora.kernels.global.vblora.vbl_adamw;
import static io.vblora.kernels.global.vblora.vbl_adamw_active_select;
import static io.vblora.kernels.global.vblora.vbl_adamw_select;

import io.vblora.kernels.DType;
import io.vblora.kernels.KernelException;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.bindings.vbl_adamw_group;
import org.bytedeco.javacpp.Pointer;

/**
 * AdamW (Loshchilov, Hutter, ICLR 2019) with PyTorch's arithmetic, dense and on active sets. Constants come from a
 * group of {@link AdamWGroups}; parameters, gradients and moments are float32. Shapes of logits, indices, weights and
 * dlogits are those of {@link Admixture}.
 */
public final class AdamWOps {
    private AdamWOps() {}

    /** Dense AdamW on a parameter; all tensors of its number of elements. */
    public static void adamw(Stream stream, StepState step, AdamWGroups groups, int group, Tensor parameter,
            Tensor gradient, Tensor expAvg, Tensor expAvgSq) {
        long n = parameter.elements();
        vbl_adamw_group constants = groups.handle(stream, group);
        Check.floats(stream, "parameter", parameter, n);
        Check.floats(stream, "gradient", gradient, n);
        Check.floats(stream, "expAvg", expAvg, n);
        Check.floats(stream, "expAvgSq", expAvgSq, n);
        stream.run(handle -> vbl_adamw(handle, n, step.handle(stream), constants, parameter.pointer(),
                gradient.pointer(), expAvg.pointer(), expAvgSq.pointer()));
    }

    /**
     * Dense AdamW on all logits, dlogits being their gradient at indices and zero elsewhere, and the next selection:
     * indices and weights are read, then overwritten as by {@link Admixture#select}. expAvg, expAvgSq [rows,
     * num_vectors].
     */
    public static void adamwSelect(Stream stream, AdmixtureShape shape, StepState step, AdamWGroups groups, int group,
            Tensor logits, Tensor dlogits, Tensor expAvg, Tensor expAvgSq, Tensor indices, Tensor weights,
            Tensor badRow) {
        vbl_adamw_group constants = groups.handle(stream, group);
        Check.floats(stream, "logits", logits, shape.logitsElements());
        Check.floats(stream, "dlogits", dlogits, shape.selectedElements());
        Check.floats(stream, "expAvg", expAvg, shape.logitsElements());
        Check.floats(stream, "expAvgSq", expAvgSq, shape.logitsElements());
        Admixture.checkSelection(stream, shape, indices, weights);
        Check.elements(stream, "badRow", badRow, DType.INT64, 1);
        stream.run(handle -> vbl_adamw_select(handle, shape.handle(stream), step.handle(stream), constants,
                logits.pointer(), dlogits.pointer(), expAvg.pointer(), expAvgSq.pointer(), indices.pointer(),
                weights.pointer(), badRow.pointer()));
    }

    /** Scratch bytes of the active-set ops. */
    public static long activeScratchBytes(Stream stream, AdmixtureShape shape) {
        return stream.scratchBytes(handle -> vbl_active_scratch_bytes(handle, shape.handle(stream)));
    }

    /**
     * Builds an active set from dense logits and moments [rows, num_vectors]; the moments may both be null, which means
     * zero.
     *
     * @throws KernelException with status VBL_CAPACITY if a row has more entries than the set holds; its max_count says
     *     how many. A CUDA stream cannot know, and max_count alone says so
     */
    public static void activeLoad(Stream stream, AdmixtureShape shape, ActiveSet active, Tensor logits, Tensor expAvg,
            Tensor expAvgSq, Tensor scratch) {
        Check.floats(stream, "logits", logits, shape.logitsElements());
        checkMoments(stream, shape, expAvg, expAvgSq);
        Check.scratch(stream, scratch, activeScratchBytes(stream, shape));
        stream.run(handle -> vbl_active_load(handle, shape.handle(stream), active.handle(stream, shape),
                logits.pointer(), pointer(expAvg), pointer(expAvgSq), scratch.pointer(), scratch.bytes()));
    }

    /**
     * Writes the active entries' logits into dense logits and, unless both are null, all moments into dense ones.
     */
    public static void activeStore(Stream stream, AdmixtureShape shape, ActiveSet active, Tensor logits, Tensor expAvg,
            Tensor expAvgSq) {
        Check.floats(stream, "logits", logits, shape.logitsElements());
        checkMoments(stream, shape, expAvg, expAvgSq);
        stream.run(handle -> vbl_active_store(handle, shape.handle(stream), active.handle(stream, shape),
                logits.pointer(), pointer(expAvg), pointer(expAvgSq)));
    }

    /**
     * Copies an active set into one of another capacity.
     *
     * @throws KernelException with status VBL_CAPACITY if that does not hold it; on CUDA its max_count alone says so
     */
    public static void activeCopy(Stream stream, AdmixtureShape shape, ActiveSet from, ActiveSet to) {
        stream.run(handle -> vbl_active_copy(handle, shape.handle(stream), from.handle(stream, shape),
                to.handle(stream, shape)));
    }

    /**
     * AdamW without weight decay on the active entries, and the next selection, the same bits as {@link #adamwSelect}.
     * logits [rows, num_vectors] hold the inactive entries and are only read.
     *
     * @throws IllegalArgumentException if the group was uploaded with weight decay
     * @throws KernelException with status VBL_CAPACITY, and nothing changed but max_count, if a row's list would
     *     overflow; on CUDA max_count above the capacity alone says so
     */
    public static void adamwActiveSelect(Stream stream, AdmixtureShape shape, ActiveSet active, StepState step,
            AdamWGroups groups, int group, Tensor logits, Tensor dlogits, Tensor indices, Tensor weights,
            Tensor badRow, Tensor scratch) {
        vbl_adamw_group constants = groups.handle(stream, group);
        groups.requireNoDecay(group);
        Check.floats(stream, "logits", logits, shape.logitsElements());
        Check.floats(stream, "dlogits", dlogits, shape.selectedElements());
        Admixture.checkSelection(stream, shape, indices, weights);
        Check.elements(stream, "badRow", badRow, DType.INT64, 1);
        Check.scratch(stream, scratch, activeScratchBytes(stream, shape));
        stream.run(handle -> vbl_adamw_active_select(handle, shape.handle(stream), active.handle(stream, shape),
                step.handle(stream), constants, logits.pointer(), dlogits.pointer(), indices.pointer(),
                weights.pointer(), badRow.pointer(), scratch.pointer(), scratch.bytes()));
    }

    private static void checkMoments(Stream stream, AdmixtureShape shape, Tensor expAvg, Tensor expAvgSq) {
        if ((expAvg == null) != (expAvgSq == null)) {
            throw new IllegalArgumentException("Both moments are given, or neither");
        }
        if (expAvg != null) {
            Check.floats(stream, "expAvg", expAvg, shape.logitsElements());
            Check.floats(stream, "expAvgSq", expAvgSq, shape.logitsElements());
        }
    }

    private static Pointer pointer(Tensor tensor) {
        return tensor == null ? null : tensor.pointer();
    }
}
