package io.vblora.kernels.presets;

import org.bytedeco.javacpp.annotation.Platform;
import org.bytedeco.javacpp.annotation.Properties;
import org.bytedeco.javacpp.tools.Info;
import org.bytedeco.javacpp.tools.InfoMap;
import org.bytedeco.javacpp.tools.InfoMapper;

/** Tells JavaCPP how to generate the bindings in {@code io.vblora.kernels.bindings} from the C headers. */
@Properties(
        value = @Platform(
                value = "linux-x86_64",
                include = {"vblora/common.h", "vblora/runtime.h", "vblora/step.h", "vblora/gemm.h",
                    "vblora/admixture.h", "vblora/optimizer.h", "vblora/active_set.h", "vblora/lowrank.h",
                    "vblora/transformer.h"},
                link = "vblora"),
        target = "io.vblora.kernels.bindings",
        global = "io.vblora.kernels.global.vblora")
public class vblora implements InfoMapper {
    @Override
    public void map(InfoMap infoMap) {
        infoMap.put(new Info("VBL_API").cppTypes().annotations());
        // Plain pointers: the caller knows what they hold, and no overload copies Java arrays.
        for (String type : new String[] {"float", "double", "int32_t", "int64_t"}) {
            String java = switch (type) {
                case "int32_t" -> "int";
                case "int64_t" -> "long";
                default -> type;
            };
            infoMap.put(new Info("const " + type, type).valueTypes(java).pointerTypes("Pointer").cast());
        }
    }
}
