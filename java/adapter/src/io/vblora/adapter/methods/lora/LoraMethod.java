package io.vblora.adapter.methods.lora;

import io.vblora.JsonFields;
import io.vblora.adapter.AdapterMethod;
import io.vblora.adapter.peft.PeftKeys;
import io.vblora.adapter.peft.StoredForm;
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
    public List<StoredForm> forms() {
        return List.of(FORM);
    }

    @Override
    public boolean isComparedWithLora() {
        return false;
    }
}
