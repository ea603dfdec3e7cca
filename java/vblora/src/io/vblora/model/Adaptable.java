package io.vblora.model;

import io.vblora.InputException;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.ModelParameter;
import io.vblora.adapter.ModuleShape;
import java.util.List;

/**
 * A frozen model that adapters can be attached to. Threads may compute with one at the same time, each with its own
 * {@link Execution} and stream; attaching, training and closing are for one thread while no other computes. A thread
 * that comes at the wrong time gets an {@link IllegalStateException} and changes nothing.
 */
public interface Adaptable extends AutoCloseable {
    /** The linear layers that an adapter can have updates of, in the order of the model. */
    List<ModuleShape> linears();

    /**
     * Linear layers that take no part in what the model is used for, but which PEFT's model may have and an adapter
     * may update.
     */
    default List<ModuleShape> idleLinears() {
        return List.of();
    }

    /** All parameters, in the order of the model: what an adapter can hold whole. */
    List<ModelParameter> parameters();

    /** Standard deviation of the new weights that are not the base model's; 0 if there are none. */
    default double initializerRange() {
        return 0;
    }

    /**
     * Attaches an adapter, in place of all others, for every sequence of a batch; null detaches. The adapter stays the
     * caller's and must outlive its use here. {@link Adapter#notes} says if it updates one of {@link #idleLinears}.
     *
     * @throws InputException as {@link #attach(List)}
     * @throws IllegalStateException as {@link #attach(List)}
     */
    default void attach(Adapter adapter) {
        attach(adapter == null ? List.of() : List.of(adapter));
    }

    /**
     * Attaches adapters, in place of all others: a table, whose slots the sequences of a batch name, from 0 on, in
     * {@link TokenBatch#adapters}. Only one that is attached alone can be trained. They stay the caller's and must
     * outlive their use here.
     *
     * @throws InputException if what it holds is not of this model or has another shape, or if it does not hold what
     * the model needs of it
     * @throws IllegalStateException if another thread computes with the model, or trains one of the adapters
     */
    void attach(List<Adapter> adapters);

    /**
     * Detaches all adapters.
     *
     * @throws IllegalStateException as {@link #attach(List)}
     */
    default void detach() {
        attach(List.of());
    }

    /** The attached adapters, in the order of their slots. */
    List<Adapter> adapters();

    /**
     * The attached adapter, or null.
     *
     * @throws IllegalStateException if several are attached
     */
    default Adapter adapter() {
        List<Adapter> attached = adapters();
        if (attached.size() > 1) {
            throw new IllegalStateException(attached.size() + " adapters are attached, where one is asked for");
        }
        return attached.isEmpty() ? null : attached.get(0);
    }

    /**
     * Frees the weights.
     *
     * @throws IllegalStateException if another thread computes with the model
     */
    @Override
    void close();
}
