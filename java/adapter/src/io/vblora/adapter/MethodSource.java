package io.vblora.adapter;

import java.util.List;

/**
 * Brings methods of adaptation. {@link AdapterMethods} finds sources through {@link java.util.ServiceLoader}, so that
 * the methods of other artifacts take part like those from here.
 */
public interface MethodSource {
    List<AdapterMethod> methods();
}
