package io.vblora.model;

import io.vblora.adapter.Adapter;
import io.vblora.adapter.ModelParameter;
import io.vblora.adapter.ModuleShape;
import java.util.List;

/**
 * An {@link Adaptable} made of parts. Its passes begin with {@link ModelUse#reading} or {@link ModelUse#training},
 * which give the adapters that they use, and run on an {@link Execution}.
 */
public abstract class AdaptableModel implements Adaptable {
    private final ModelUse use;

    /** A model that nobody uses yet. */
    protected AdaptableModel() {
        this(new ModelUse());
    }

    /** A model whose users are also those of a part of it. */
    AdaptableModel(ModelUse use) {
        this.use = use;
    }

    /** All parts, in the order of the model; always the same. */
    protected abstract List<? extends ModelPart> parts();

    /** Who computes with the model, and the attached adapters. */
    protected final ModelUse use() {
        return use;
    }

    @Override
    public List<ModuleShape> linears() {
        return parts().stream().flatMap(part -> part.linears().stream()).map(Linear::shape).toList();
    }

    @Override
    public List<ModelParameter> parameters() {
        return parts().stream().flatMap(part -> part.parameters().stream()).map(Parameter::offered).toList();
    }

    @Override
    public void attach(List<Adapter> adapters) {
        List<Adapter> next = List.copyOf(adapters);
        use.attach(next, parts(), () -> {
            List<ModuleShape> linears = linears();
            List<ModuleShape> idle = idleLinears();
            List<ModelParameter> parameters = parameters();
            // No adapter is changed before all are known to fit.
            next.forEach(adapter -> {
                adapter.checkFits(linears, idle, parameters);
                check(adapter);
            });
            next.forEach(adapter -> {
                adapter.belongTo(linears, idle, parameters);
                attached(adapter);
            });
        });
    }

    /**
     * What else a model requires of an adapter, which it does not change.
     *
     * @throws io.vblora.InputException if the adapter is not one for this model
     */
    protected void check(Adapter newAdapter) {}

    /**
     * What else a model does with an adapter that is attached. No other thread uses the model, but others may save the
     * adapter or compute with it in another model.
     */
    protected void attached(Adapter newAdapter) {}

    @Override
    public List<Adapter> adapters() {
        return use.updates().adapters();
    }
}
