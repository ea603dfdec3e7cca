package io.vblora.adapter;

import java.util.List;

/**
 * Provides methods of adaptation. {@link AdapterMethods} finds sources through {@link java.util.ServiceLoader}, so that
 * methods of other artifacts take part just like those of this one.
 */
public interface MethodSource {
    List<AdapterMethod> methods();
}
