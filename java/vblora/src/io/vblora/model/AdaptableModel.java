package io.vblora.model;

import io.vblora.adapter.Adapter;
import io.vblora.adapter.ModelParameter;
import io.vblora.adapter.ModuleShape;
import java.util.List;

/** An {@link Adaptable} made of parts. */
abstract class AdaptableModel implements Adaptable {
    private final ModelUse use;

    AdaptableModel(ModelUse use) {
        this.use = use;
    }

    /** All parts, in the order of the model. */
    abstract List<? extends ModelPart> parts();

    /** Who computes with the model, and the attached adapter. */
    final ModelUse use() {
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
        use.attach(List.copyOf(adapters), () -> {
            adapters.forEach(adapter -> adapter.checkFits(linears(), idleLinears(), parameters()));
            adapters.forEach(this::attached);
        });
    }

    /** What else a model does with an adapter that is attached, while no other thread uses either. */
    void attached(Adapter newAdapter) {}

    @Override
    public List<Adapter> adapters() {
        return use.updates().adapters();
    }
}
