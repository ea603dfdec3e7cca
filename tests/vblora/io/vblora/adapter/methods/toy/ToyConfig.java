package io.vblora.adapter.methods.toy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vblora.JsonFields;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.BaseWeights;
import io.vblora.adapter.ModuleShape;
import io.vblora.adapter.peft.PeftFile;
import io.vblora.adapter.peft.PeftKeys;
import io.vblora.adapter.peft.StoredForm;
import io.vblora.adapter.peft.StoredTensor;
import io.vblora.kernels.Stream;
import io.vblora.parameters.ParameterLayout;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;

/** Its configuration. */
final class ToyConfig extends AdapterConfig {
    private final ToyMethod method;
    private final double toyScale;
    private final boolean onlyR;

    ToyConfig(ToyMethod method, JsonFields fields) {
        super(fields, 2, "lora_dropout", Set.of("lora_dropout", "toy_scale", "toy_only_r"));
        this.method = method;
        this.toyScale = fields.number("toy_scale", 0, 100, 1);
        this.onlyR = fields.bool("toy_only_r", false);
    }

    @Override
    public ToyMethod method() {
        return method;
    }

    @Override
    public double scaling(String path) {
        return toyScale;
    }

    @Override
    public Map<String, Object> facts() {
        return Map.of("toy_scale", toyScale);
    }

    /** A, B and R of all modules, in a buffer each. */
    ParameterLayout layout(List<ModuleShape> modules, String suffix) {
        ParameterLayout.Builder layout = ParameterLayout.builder();
        modules.forEach(module -> layout.add(PeftKeys.of(module.path(), suffix),
                suffix.equals(ToyMethod.B) ? module.outFeatures() : r(),
                suffix.equals(ToyMethod.A) ? module.inFeatures() : r()));
        return layout.build();
    }

    @Override
    public StoredForm form() {
        return onlyR ? ToyMethod.ONLY_R : ToyMethod.FORM;
    }

    @Override
    protected void setForm(ObjectNode json, StoredForm form) {
        json.put("toy_only_r", form.equals(ToyMethod.ONLY_R));
    }

    @Override
    protected ModuleShape shape(String path, PeftFile file, BaseWeights base) {
        file.expect(PeftKeys.of(path, ToyMethod.R), "r", r(), r());
        if (onlyR) {
            return base.shape(path);
        }
        return new ModuleShape(path, file.expect(PeftKeys.of(path, ToyMethod.A), "r", r(), -1).get(1),
                file.expect(PeftKeys.of(path, ToyMethod.B), "r", -1, r()).get(0));
    }

    @Override
    protected List<StoredTensor> stored(List<ModuleShape> modules, StoredForm form) {
        return form.moduleKeys().stream()
                .flatMap(suffix -> StoredTensor.of(layout(modules, suffix)).stream()).toList();
    }

    @Override
    protected ToyComposition create(List<ModuleShape> modules, BaseWeights base, Stream stream, long seed) {
        return filled(new ToyComposition(stream.device(), this, modules), composition -> composition.initialize(base));
    }

    @Override
    protected ToyComposition read(List<ModuleShape> modules, PeftFile file, BaseWeights base, Stream stream) {
        return filled(new ToyComposition(stream.device(), this, modules), composition -> {
            if (onlyR) {
                composition.initialize(base);
                composition.readR(file);
            } else {
                composition.read(file);
            }
        });
    }

    private static ToyComposition filled(ToyComposition composition, Consumer<ToyComposition> fill) {
        try {
            fill.accept(composition);
            return composition;
        } catch (RuntimeException | Error e) {
            composition.close();
            throw e;
        }
    }

    /** Builds one. */
    static final class Builder extends AdapterConfig.Builder<Builder> {
        private final ToyMethod method;

        Builder(ToyMethod method) {
            super(defaults(method.peftType(), 2));
            this.method = method;
        }

        @Override
        protected Builder self() {
            return this;
        }

        @Override
        public ToyConfig build() {
            return new ToyConfig(method, fields("ToyConfig"));
        }
    }
}
