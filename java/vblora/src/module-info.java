/**
 * VB-LoRA fine-tuning for the JVM: adapters, models, data and training. The native libraries are modules of their own,
 * which are found on the module path.
 */
@SuppressWarnings({"requires-automatic", "requires-transitive-automatic"}) // of DJL and Protocol Buffers
module io.vblora {
    requires transitive io.vblora.kernels;
    requires transitive com.fasterxml.jackson.databind;
    requires org.bytedeco.openblas;
    requires org.bytedeco.openblas.linux.x86_64;
    requires ai.djl.tokenizers;
    requires com.google.protobuf;
    requires info.picocli;
    requires me.tongfei.progressbar;
    requires org.apache.commons.csv;
    // of ai.djl.api, which as an automatic module cannot say so
    requires com.google.gson;
    requires org.slf4j;

    exports io.vblora;
    exports io.vblora.adapter;
    exports io.vblora.adapter.methods.lora;
    exports io.vblora.adapter.methods.vblora;
    exports io.vblora.adapter.peft;
    exports io.vblora.blas;
    exports io.vblora.data;
    exports io.vblora.eval;
    exports io.vblora.model;
    exports io.vblora.model.config;
    exports io.vblora.model.onnx;
    exports io.vblora.onnx;
    exports io.vblora.optimizer;
    exports io.vblora.optimizer.adamw;
    exports io.vblora.parameters;
    exports io.vblora.train;
    exports io.vblora.weights;

    uses io.vblora.adapter.MethodSource;
    provides io.vblora.adapter.MethodSource with io.vblora.adapter.methods.OwnMethods;
    uses io.vblora.model.CausalLmArchitecture;

    opens io.vblora.cli to info.picocli;
    opens io.vblora.train to info.picocli; // the options that are training arguments
}
