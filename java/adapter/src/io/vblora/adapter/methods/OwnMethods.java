package io.vblora.adapter.methods;

import io.vblora.adapter.AdapterMethod;
import io.vblora.adapter.MethodSource;
import io.vblora.adapter.methods.lora.LoraMethod;
import io.vblora.adapter.methods.vblora.VbLoraMethod;
import java.util.List;

/** The methods that come with this library, one line for each. */
public final class OwnMethods implements MethodSource {
    /** For the service loader. */
    public OwnMethods() {}

    @Override
    public List<AdapterMethod> methods() {
        return List.of(
                VbLoraMethod.INSTANCE,
                LoraMethod.INSTANCE);
    }
}
