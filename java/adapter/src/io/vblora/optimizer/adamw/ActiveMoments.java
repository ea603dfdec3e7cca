package io.vblora.optimizer.adamw;

import io.vblora.kernels.DType;
import io.vblora.kernels.KernelException;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.Tensors;
import io.vblora.kernels.global.vblora;
import io.vblora.kernels.ops.ActiveSet;
import io.vblora.kernels.ops.AdamWGroups;
import io.vblora.kernels.ops.AdamWOps;
import io.vblora.kernels.ops.AdmixtureShape;
import io.vblora.kernels.ops.StepState;
import io.vblora.parameters.NamedTensors;
import io.vblora.parameters.SelectedLogits;
import java.util.Map;

/**
 * Moments of the logits that an update can move, which are those that have been selected before. The active set also
 * holds their present values, and the logits' own buffer holds all others.
 */
final class ActiveMoments implements Moments, SelectedLogits.Keeper {
    /**
     * Candidates kept per row, or four times topk if that is more. A row with fewer than topk left is scanned again.
     */
    private static final int CANDIDATES = 16;

    private final Stream stream;
    private final SelectedLogits logits;
    private final AdmixtureShape shape;
    private final int group;
    private final Tensor scratch;
    /** The number of entries in the fullest row of {@code active}. */
    private final ActiveCount count;
    private ActiveSet active;

    /** @param capacity entries of a row at the beginning */
    ActiveMoments(Stream stream, SelectedLogits logits, int group, int capacity) {
        this.stream = stream;
        this.logits = logits;
        this.shape = logits.shape();
        this.group = group;
        this.scratch = Tensor.allocate(stream.device(), DType.UINT8, AdamWOps.activeScratchBytes(stream, shape));
        try {
            this.count = new ActiveCount(stream.device(), shape.topk());
        } catch (RuntimeException | Error e) {
            scratch.close();
            throw e;
        }
        try {
            load(stream, Math.max(shape.topk(), Math.min(shape.numVectors(), capacity)), null, null);
        } catch (RuntimeException | Error e) {
            count.close();
            scratch.close();
            throw e;
        }
        logits.keptBy(this);
        logits.selectedByOptimizer();
    }

    private ActiveSet newActiveSet(int capacity) {
        return new ActiveSet(stream.device(), shape, capacity, Math.max(CANDIDATES, 4 * shape.topk()));
    }

    /** Builds the active set from logits and moments, with lists that are long enough. */
    private void load(Stream stream, int capacity, Tensor expAvg, Tensor expAvgSq) {
        load(stream, newActiveSet(capacity), expAvg, expAvgSq);
    }

    /** Does the same in the given set, which is closed if it is too small. */
    private void load(Stream stream, ActiveSet loaded, Tensor expAvg, Tensor expAvgSq) {
        try {
            activeLoad(stream, loaded, expAvg, expAvgSq);
        } catch (RuntimeException | Error e) {
            loaded.close();
            throw e;
        }
        int need = loaded.maxCount().toInts()[0];
        if (need > loaded.capacity()) {
            loaded.close();
            load(stream, Math.min(shape.numVectors(), 2 * need), expAvg, expAvgSq);
            return;
        }
        replace(loaded);
        count.restart(need);
    }

    /**
     * Loads, or leaves a need beyond the capacity in max_count. On the CPU the op reports that, too; on CUDA it cannot.
     */
    private void activeLoad(Stream stream, ActiveSet loaded, Tensor expAvg, Tensor expAvgSq) {
        try {
            AdamWOps.activeLoad(stream, shape, loaded, logits.values(), expAvg, expAvgSq, scratch);
        } catch (KernelException e) {
            if (e.status() != vblora.VBL_CAPACITY) {
                throw e;
            }
        }
    }

    @Override
    public void prepare(Stream stream) {
        if (fits(count.atMost())) {
            return;
        }
        int needed = count.atMostAfterWaiting();
        if (fits(needed)) {
            return;
        }
        ActiveSet larger = newActiveSet(Math.min(shape.numVectors(),
                Math.max(2 * active.capacity(), needed + shape.topk())));
        try {
            AdamWOps.activeCopy(stream, shape, active, larger);
            stream.synchronize();  // before the smaller one is freed
        } catch (RuntimeException | Error e) {
            larger.close();
            throw e;
        }
        replace(larger);
    }

    private boolean fits(int entries) {
        return active.capacity() >= Math.min(shape.numVectors(), (long) entries + shape.topk());
    }

    private void replace(ActiveSet next) {
        if (active != null) {
            active.close();
        }
        active = next;
    }

    @Override
    public void update(Stream stream, StepState step, AdamWGroups groups) {
        AdamWOps.adamwActiveSelect(stream, shape, active, step, groups, group, logits.values(), logits.gradient(),
                logits.indices(), logits.weights(), logits.badRow(), scratch);
    }

    @Override
    public void updated(Stream stream) {
        count.updated(stream, active);
    }

    @Override
    public void store(Stream stream) {
        AdamWOps.activeStore(stream, shape, active, logits.values(), null, null);
    }

    /**
     * Allocates room for the moments of all logits and for another active set before anything is overwritten. A set of
     * the same capacity is large enough, since only entries of the present set have moments.
     */
    @Override
    public void rewrite(Stream stream, Runnable write) {
        ActiveSet next = newActiveSet(active.capacity());
        try (Tensors moments = new Tensors(stream.device())) {
            Tensor expAvg = moments.allocate(DType.FLOAT32, logits.values().shape());
            Tensor expAvgSq = moments.allocate(DType.FLOAT32, logits.values().shape());
            AdamWOps.activeStore(stream, shape, active, logits.values(), expAvg, expAvgSq);
            stream.synchronize();
            write.run();
            load(stream, next, expAvg, expAvgSq);
        } finally {
            if (active != next) {
                next.close();
            }
        }
    }

    @Override
    public void addTo(Stream stream, NamedTensors first, NamedTensors second) {
        Tensor expAvg = first.allocate(DType.FLOAT32, logits.values().shape());
        Tensor expAvgSq = second.allocate(DType.FLOAT32, logits.values().shape());
        AdamWOps.activeStore(stream, shape, active, logits.values(), expAvg, expAvgSq);
        stream.synchronize();
        logits.layout().addTo(first, expAvg);
        logits.layout().addTo(second, expAvgSq);
    }

    @Override
    public void check(Map<String, Tensor> first, Map<String, Tensor> second) {
        logits.layout().check(AdamWState.SOURCE, first);
        logits.layout().check(AdamWState.SOURCE, second);
    }

    @Override
    public void load(Stream stream, Map<String, Tensor> first, Map<String, Tensor> second) {
        try (Tensors moments = new Tensors(stream.device())) {
            Tensor expAvg = moments.allocate(DType.FLOAT32, logits.values().shape());
            Tensor expAvgSq = moments.allocate(DType.FLOAT32, logits.values().shape());
            logits.layout().copy(first, expAvg);
            logits.layout().copy(second, expAvgSq);
            store(stream);
            load(stream, active.capacity(), expAvg, expAvgSq);
        }
    }

    @Override
    public boolean allocatesToLoad() {
        return true;
    }

    @Override
    public void close() {
        try {
            if (logits.isKeptBy(this)) {
                logits.takeBack(stream);
                stream.synchronize();
            }
        } finally {
            active.close();
            count.close();
            scratch.close();
        }
    }
}
