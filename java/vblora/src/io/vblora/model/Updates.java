package io.vblora.model;

import io.vblora.adapter.Adapter;
import io.vblora.kernels.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * The adapters that passes over a model use: a table whose slots the sequences of a batch name. Training has a table of
 * one. Immutable.
 */
public final class Updates {
    private final List<AttachedAdapter> slots;
    private final Layout layout;

    /**
     * What decides, beside the batch, how much memory a pass takes. It holds on to neither the model nor the adapters.
     *
     * @param model stands for the model
     * @param adapters in the order of their slots
     */
    public record Layout(Object model, List<AdapterLayout> adapters) {}

    /**
     * @param ranks of the adapter's updates, by path
     * @param whole names of the parameters that it holds
     */
    public record AdapterLayout(Map<String, Integer> ranks, List<String> whole) {}

    /** @param model stands for the model */
    Updates(Object model, List<AttachedAdapter> slots) {
        this.slots = List.copyOf(slots);
        this.layout = new Layout(model, slots.stream().map(AttachedAdapter::layout).toList());
    }

    /** The adapters, in the order of their slots. */
    public List<Adapter> adapters() {
        return slots.stream().map(AttachedAdapter::adapter).toList();
    }

    /**
     * The only adapter, which is trained.
     *
     * @throws IllegalStateException if there is none, or several
     */
    public Adapter only() {
        if (slots.size() != 1) {
            throw new IllegalStateException(slots.isEmpty() ? "No adapter is attached: there is nothing to train"
                    : slots.size() + " adapters are attached, but a training pass is one adapter's");
        }
        return slots.get(0).adapter();
    }

    /** Equal for passes of one model that take the same memory for equal batches, whatever is attached. */
    public Layout layout() {
        return layout;
    }

    /**
     * The slot of each sequence of a batch: those that it names; else the only one, or none where nothing is attached.
     *
     * @throws IllegalArgumentException if it names a slot without an adapter, or none where there are several
     */
    public int[] slots(TokenBatch batch) {
        int[] named = batch.adapters();
        if (named == null) {
            if (slots.size() > 1) {
                throw new IllegalArgumentException(slots.size() + " adapters are attached: a batch has to say which of "
                        + "them each sequence uses");
            }
            int[] all = new int[batch.size()];
            Arrays.fill(all, slots.isEmpty() ? TokenBatch.NO_ADAPTER : 0);
            return all;
        }
        for (int slot : named) {
            if (slot >= slots.size()) {
                throw new IllegalArgumentException("A sequence uses the adapter of slot " + slot + ", but there are "
                        + slots.size() + ", from slot 0 on");
            }
        }
        return named;
    }

    /**
     * The same for a training pass.
     *
     * @throws IllegalArgumentException also if a sequence uses none
     */
    public int[] slotsToTrain(TokenBatch batch) {
        int[] found = slots(batch);
        for (int slot : found) {
            if (slot != 0) {
                throw new IllegalArgumentException("All sequences of a training pass use the one adapter that is "
                        + "attached, found " + Arrays.toString(found));
            }
        }
        return found;
    }

    /** Whether an adapter holds one of these parameters, and so trains it. */
    boolean holds(Parameter... parameters) {
        for (int slot = 0; slot < slots.size(); slot++) {
            if (holds(slot, parameters)) {
                return true;
            }
        }
        return false;
    }

    /** Whether the adapter of a slot holds one of these parameters. */
    boolean holds(int slot, Parameter... parameters) {
        if (slot != TokenBatch.NO_ADAPTER) {
            for (Parameter parameter : parameters) {
                if (slots.get(slot).value(parameter) != null) {
                    return true;
                }
            }
        }
        return false;
    }

    /** Whether an adapter holds or updates a parameter of a part, and so trains it. */
    boolean holdsAnyOf(ModelPart part) {
        return slots.stream().anyMatch(slot -> slot.holdsAnyOf(part));
    }

    /** What rows of a slot read: float32 values of its adapter, or the base model's own in any native type. */
    Tensor value(Parameter parameter, int slot) {
        Tensor own = slot == TokenBatch.NO_ADAPTER ? null : slots.get(slot).value(parameter);
        return own == null ? parameter.base() : own;
    }

    /** The gradient of a parameter that the only adapter holds, to be added to. */
    Tensor gradient(Parameter parameter) {
        return slots.get(0).gradient(parameter);
    }

    /** What the adapter of a slot has of linear layers, or null if that is nothing. */
    GroupUpdate of(LinearGroup group, int slot) {
        return slot == TokenBatch.NO_ADAPTER ? null : slots.get(slot).update(group);
    }

    /** Whether training draws dropout for these layers. */
    public boolean drawsDropout(LinearGroup group) {
        return slots.stream().map(slot -> slot.update(group))
                .anyMatch(update -> update != null && update.drawsDropout());
    }

    /** The most ranks that an adapter's updates of these layers have together; 0 if none has any. */
    int ranks(LinearGroup group) {
        int most = 0;
        for (AttachedAdapter slot : slots) {
            GroupUpdate update = slot.update(group);
            most = update == null ? most : Math.max(most, update.ranks());
        }
        return most;
    }
}
