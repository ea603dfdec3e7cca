package io.vblora.model;

import io.vblora.SharedUse;
import io.vblora.SharedUse.Use;
import io.vblora.adapter.Adapter;
import java.util.function.Supplier;

/** Who uses a model and the adapter attached to it: passes of many threads at a time, or a thread that changes them. */
final class ModelUse {
    private final SharedUse model = new SharedUse("The model", "any number of threads may compute with it, each with an "
            + "execution and a stream of its own, but none while one attaches an adapter or closes the model");
    private volatile Adapter adapter;

    /** The attached adapter, or null. */
    Adapter adapter() {
        return adapter;
    }

    /**
     * Attaches an adapter, or null.
     *
     * @throws IllegalStateException if another thread uses the model, or trains this adapter or the one that is attached
     */
    void attach(Adapter newAdapter, Runnable attach) {
        try (Use changing = model.change(); Use old = reading(adapter); Use next = reading(newAdapter)) {
            attach.run();
            adapter = newAdapter;
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
    <T> T training(Supplier<T> pass) {
        try (Use weights = model.read(); Use updates = adapter == null ? null : adapter.sharedUse().change()) {
            return pass.get();
        }
    }

    /** @throws IllegalStateException if another thread uses the model */
    void close(Runnable close) {
        try (Use changing = model.change()) {
            close.run();
        }
    }
}
