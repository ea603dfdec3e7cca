package io.vblora.adapter;

import java.util.List;
import java.util.stream.Stream;

/** Parameters as models offer them. */
final class ModelParameters {
    private ModelParameters() {}

    /** Weight and bias of each of these layers, which the base model lacks. */
    static List<ModelParameter> ofHeads(List<ModuleShape> heads) {
        return heads.stream().flatMap(head -> Stream.of(
                new ModelParameter(head.path() + ".weight", List.of(head.outFeatures(), head.inFeatures()), null),
                new ModelParameter(head.path() + ".bias", List.of(head.outFeatures()), null))).toList();
    }
}
