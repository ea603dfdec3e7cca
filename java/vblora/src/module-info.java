/**
 * VB-LoRA fine-tuning for the JVM: models, data and training, and adapters with them. The native libraries are modules
 * of their own, which are found on the module path.
 */
@SuppressWarnings({"requires-automatic", "requires-transitive-automatic"}) // of DJL and Protocol Buffers
module io.vblora {
    requires transitive io.vblora.adapter;
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

    exports io.vblora.blas;
    exports io.vblora.data;
    exports io.vblora.eval;
    exports io.vblora.model;
    exports io.vblora.model.config;
    exports io.vblora.model.onnx;
    exports io.vblora.onnx;
    exports io.vblora.train;

    uses io.vblora.model.CausalLmArchitecture;

    opens io.vblora.cli to info.picocli;
    opens io.vblora.train to info.picocli; // the options that are training arguments
}
