package io.vblora.model;

import io.vblora.SharedUse;
import io.vblora.SharedUse.Use;
import io.vblora.adapter.Adapter;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * Who uses a model and the adapters attached to it: passes of many threads at a time, or a thread that changes them.
 */
public final class ModelUse {
    private final SharedUse model = new SharedUse("The model", "any number of threads may compute with it, each with "
            + "an execution and a stream of its own, but none while one attaches an adapter or closes the model");
    private volatile Updates updates = new Updates(new Object(), List.of());

    /** Uses that end together. */
    private static final class Uses implements AutoCloseable {
        private final List<Use> begun = new ArrayList<>();

        /** Begins to read adapters; those that are being read if one can't be are given back. */
        static Uses reading(List<Adapter> adapters) {
            Uses uses = new Uses();
            try {
                adapters.forEach(adapter -> uses.begun.add(adapter.sharedUse().read()));
                return uses;
            } catch (RuntimeException | Error e) {
                uses.close();
                throw e;
            }
        }

        @Override
        public void close() {
            begun.forEach(Use::close);
        }
    }

    ModelUse() {}

    /** What is attached. */
    public Updates updates() {
        return updates;
    }

    /**
     * Attaches adapters in place of those that are.
     *
     * @param parts of the model
     * @param attach what else that means, and first whether they fit; if it throws, nothing is attached
     * @throws IllegalStateException if another thread uses the model, or trains one of these adapters or of those that
     * are attached
     */
    void attach(List<Adapter> adapters, List<? extends ModelPart> parts, Runnable attach) {
        try (Use changing = model.change(); Uses old = Uses.reading(updates.adapters());
                Uses next = Uses.reading(adapters)) {
            attach.run();
            updates = new Updates(updates.layout().model(), adapters.stream()
                    .map(adapter -> new AttachedAdapter(adapter, parts)).toList());
        }
    }

    /**
     * Runs a pass that changes nothing.
     *
     * @param pass is given the attached adapters
     * @throws IllegalStateException if another thread changes the model, or changes or trains an adapter
     */
    public <T> T reading(Function<Updates, T> pass) {
        try (Use weights = model.read(); Uses adapters = Uses.reading(updates.adapters())) {
            return pass.apply(updates);
        }
    }

    /**
     * Runs a pass that adds to the only adapter's gradients: as {@link #reading}, and none of its other users may be at
     * work.
     *
     * @throws IllegalStateException also if none is attached, or several are
     */
    public void training(Consumer<Updates> pass) {
        try (Use weights = model.read(); Use changing = updates.only().sharedUse().change()) {
            pass.accept(updates);
        }
    }

    /**
     * Closes the model.
     *
     * @param close frees its memory
     * @throws IllegalStateException if another thread uses the model
     */
    public void close(Runnable close) {
        try (Use changing = model.change()) {
            close.run();
        }
    }
}
