package io.vblora.adapter.methods.vblora;

import io.vblora.adapter.AdaptedModule;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.Composition;
import io.vblora.adapter.ModuleShape;
import io.vblora.kernels.Stream;
import io.vblora.parameters.NamedTensors;
import java.util.List;

/**
 * VB-LoRA's logits trained over active sets that begin with the least room, topk entries, and so have to grow; by
 * default banks of less than {@link VbLoraComposition#ACTIVE_SET_NUM_VECTORS} vectors train densely.
 */
public final class GrowingActiveSets {
    private GrowingActiveSets() {}

    /** A composition of this kind on the stream's device that begins with an adapter's parameters. */
    public static Composition of(Adapter adapter, Stream stream) {
        VbLoraConfig config = (VbLoraConfig) adapter.config();
        List<ModuleShape> shapes = adapter.modules().stream().map(AdaptedModule::shape).toList();
        Composition composition = new VbLoraComposition(stream.device(), config, shapes, true, config.source(), 1,
                config.topk());
        try (NamedTensors parameters = adapter.composition().parameters(stream)) {
            composition.loadParameters(stream, parameters.asMap());
        } catch (RuntimeException | Error e) {
            composition.close();
            throw e;
        }
        return composition;
    }
}
