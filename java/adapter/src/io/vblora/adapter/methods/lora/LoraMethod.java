package io.vblora.adapter.methods.lora;

import io.vblora.JsonFields;
import io.vblora.adapter.AdapterMethod;
import io.vblora.adapter.MethodOption;
import io.vblora.adapter.peft.PeftKeys;
import io.vblora.adapter.peft.StoredForm;
import io.vblora.parameters.ParameterGroup;
import java.util.List;

/** LoRA. */
public final class LoraMethod implements AdapterMethod {
    public static final LoraMethod INSTANCE = new LoraMethod();

    static final StoredForm FORM = new StoredForm("with_a_and_b", "with A and B",
            List.of(PeftKeys.LORA_A, PeftKeys.LORA_B), List.of());

    private LoraMethod() {}

    @Override
    public String peftType() {
        return "LORA";
    }

    @Override
    public String title() {
        return "LoRA";
    }

    @Override
    public LoraConfig config(JsonFields fields) {
        return new LoraConfig(fields);
    }

    @Override
    public LoraConfig.Builder builder() {
        return LoraConfig.builder();
    }

    @Override
    public List<ParameterGroup> groups() {
        return List.of(ParameterGroup.MATRICES);
    }

    @Override
    public List<MethodOption> options() {
        LoraConfig defaults = builder().build();
        return List.of(
                MethodOption.of("lora_alpha", "X", defaults.loraAlpha(),
                        "updates are scaled by X / r (default: ${DEFAULT-VALUE})."),
                MethodOption.of("lora_dropout", "P", defaults.dropout(), "probability of dropout on the input of "
                        + "the updates while training (default: ${DEFAULT-VALUE})."));
    }

    @Override
    public List<StoredForm> forms() {
        return List.of(FORM);
    }

    @Override
    public boolean isOfModulesToSaveAlone() {
        return true;
    }

    @Override
    public boolean isComparedWithLora() {
        return false;
    }
}
