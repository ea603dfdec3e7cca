package io.vblora.model;

import io.vblora.SharedUse;
import io.vblora.SharedUse.Use;
import io.vblora.adapter.AdaptedModule;
import io.vblora.adapter.Adapter;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/** Who uses a model and the adapter attached to it: passes of many threads at a time, or a thread that changes them. */
final class ModelUse {
    private final SharedUse model = new SharedUse("The model", "any number of threads may compute with it, each with "
            + "an execution and a stream of its own, but none while one attaches an adapter or closes the model");
    private volatile Adapter adapter;
    private volatile Layout layout = new Layout(new Object(), Map.of(), List.of());

    /**
     * What decides, beside the batch, how much memory a pass takes. It holds on to neither the model nor the adapter.
     *
     * @param model stands for the model
     * @param ranks of the attached adapter's updates, by path
     * @param whole names of the parameters that the attached adapter holds
     */
    record Layout(Object model, Map<String, Integer> ranks, List<String> whole) {}

    /** The attached adapter, or null. */
    Adapter adapter() {
        return adapter;
    }

    /** Equal for passes of one model, with whatever is attached, that take the same memory for equal batches. */
    Layout layout() {
        return layout;
    }

    /**
     * Attaches an adapter, or null.
     *
     * @throws IllegalStateException if another thread uses the model, or trains this adapter or the one that is
     * attached
     */
    void attach(Adapter newAdapter, Runnable attach) {
        try (Use changing = model.change(); Use old = reading(adapter); Use next = reading(newAdapter)) {
            attach.run();
            adapter = newAdapter;
            layout = newAdapter == null ? new Layout(layout.model, Map.of(), List.of())
                    : new Layout(layout.model, newAdapter.modules().stream()
                            .collect(Collectors.toUnmodifiableMap(AdaptedModule::path, AdaptedModule::r)),
                            newAdapter.wholeParameters().names());
        }
    }

    /** @throws IllegalStateException if another thread changes the model, or changes or trains the adapter */
    <T> T reading(Supplier<T> pass) {
        try (Use weights = model.read(); Use updates = reading(adapter)) {
            return pass.get();
        }
    }

    private static Use reading(Adapter one) {
        return one == null ? null : one.sharedUse().read();
    }

    /** A pass that adds to the adapter's gradients; as {@link #reading}, and none of its other users may be at work. */
    void training(Runnable pass) {
        try (Use weights = model.read(); Use updates = adapter == null ? null : adapter.sharedUse().change()) {
            pass.run();
        }
    }

    /** @throws IllegalStateException if another thread uses the model */
    void close(Runnable close) {
        try (Use changing = model.change()) {
            close.run();
        }
    }
}
