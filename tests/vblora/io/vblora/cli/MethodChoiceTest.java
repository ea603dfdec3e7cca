package io.vblora.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vblora.JsonFields;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.AdapterMethod;
import io.vblora.adapter.ModuleSelector;
import io.vblora.adapter.methods.lora.LoraMethod;
import io.vblora.adapter.methods.toy.ToyMethod;
import io.vblora.adapter.methods.vblora.VbLoraMethod;
import java.util.List;
import org.junit.jupiter.api.Test;

class MethodChoiceTest {
    private static AdapterConfig config(AdapterMethod method, String targets) {
        ObjectNode json = JsonNodeFactory.instance.objectNode().put("peft_type", method.peftType())
                .put("target_modules", targets);
        json.putArray("modules_to_save").add("classifier");
        return method.config(JsonFields.of("test", json));
    }

    @Test
    void anAdapterIsOfItsOwnMethodEvenWithoutUpdates() {
        for (AdapterMethod method : List.of(LoraMethod.INSTANCE, new ToyMethod())) {
            MethodChoice head = MethodChoice.of(config(method, ModuleSelector.DUMMY_TARGET_MODULES));
            assertEquals("head", head.name());
            assertSame(method, head.method());
            assertEquals(List.of(), head.options());
        }
        for (AdapterMethod method : List.of(VbLoraMethod.INSTANCE, LoraMethod.INSTANCE, new ToyMethod())) {
            MethodChoice updates = MethodChoice.of(config(method, "all-linear"));
            assertEquals(method.optionName(), updates.name());
            assertSame(method, updates.method());
            assertEquals(method.options(), updates.options());
        }
    }

    /** As PEFT has it for adapters with nothing but modules to save. */
    @Test
    void aNewHeadAloneIsOfLora() {
        List<MethodChoice> all = MethodChoice.all();
        assertEquals(List.of("vblora", "lora", "head"), all.stream().map(MethodChoice::name).toList());
        assertSame(LoraMethod.INSTANCE, all.get(2).method());
    }
}
