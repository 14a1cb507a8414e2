"""A random Stable Diffusion 1.5 checkpoint with a tiny UNet, which all three hosts load on a CPU.

    NAME.safetensors   fp16 weights under the usual names, about 470 MB
    NAME.yaml          the description that A1111 and reForge read (Forge reads the shapes instead)
    tokenizer/         tokenizer and text model settings, so that no host asks the network for them

The hosts take the shapes of the text model and the autoencoder as given, only the UNet can be small. Weights are normal
with variance 1 / fan-in, so that every layer keeps its input's size. A straight path through the UNet (see
`straighten`) makes its output close to its input plus a small share that depends on time, prompt and the other pixels:
as noise prediction that is a tame denoiser, and latents stay of order one.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file

WIDTH, TIME, CONTEXT = 320, 1280, 768  # fixed: the hosts know SD1.5 by WIDTH and CONTEXT
TOKENS = 49408
SMALL = ("out_layers.3.weight", "proj_out.weight", "skip_connection.weight", "model.out.2.weight")


def layer(name, *shape, bias=True):
    return {name + ".weight": shape, **({name + ".bias": shape[:1]} if bias else {})}


def layers(prefix, *parts):
    return {f"{prefix}.{name}": shape for part in parts for name, shape in part.items()}


def unet():
    def residual(name, wide):
        skip = layer("skip_connection", WIDTH, wide, 1, 1) if wide != WIDTH else {}
        return layers(
            name,
            layer("in_layers.0", wide),
            layer("in_layers.2", WIDTH, wide, 3, 3),
            layer("emb_layers.1", WIDTH, TIME),
            layer("out_layers.0", WIDTH),
            layer("out_layers.3", WIDTH, WIDTH, 3, 3),
            skip,
        )

    def attention(name, source):
        return layers(
            name,
            layer("to_q", WIDTH, WIDTH, bias=False),
            layer("to_k", WIDTH, source, bias=False),
            layer("to_v", WIDTH, source, bias=False),
            layer("to_out.0", WIDTH, WIDTH),
        )

    def transformer(name):
        block = layers(
            "transformer_blocks.0",
            attention("attn1", WIDTH),
            attention("attn2", CONTEXT),
            layer("ff.net.0.proj", 8 * WIDTH, WIDTH),
            layer("ff.net.2", WIDTH, 4 * WIDTH),
            layer("norm1", WIDTH),
            layer("norm2", WIDTH),
            layer("norm3", WIDTH),
        )
        return layers(
            name,
            layer("norm", WIDTH),
            layer("proj_in", WIDTH, WIDTH, 1, 1),
            block,
            layer("proj_out", WIDTH, WIDTH, 1, 1),
        )

    return layers(
        "model.diffusion_model",
        layer("time_embed.0", TIME, WIDTH),
        layer("time_embed.2", TIME, TIME),
        layer("input_blocks.0.0", WIDTH, 4, 3, 3),
        residual("input_blocks.1.0", WIDTH),
        transformer("input_blocks.1.1"),
        residual("middle_block.0", WIDTH),
        transformer("middle_block.1"),
        residual("middle_block.2", WIDTH),
        residual("output_blocks.0.0", 2 * WIDTH),
        transformer("output_blocks.0.1"),
        residual("output_blocks.1.0", 2 * WIDTH),
        transformer("output_blocks.1.1"),
        layer("out.0", WIDTH),
        layer("out.2", 4, WIDTH, 3, 3),
    )


def autoencoder():
    widths = [128, 256, 512, 512]

    def residual(name, old, new):
        skip = layer("nin_shortcut", new, old, 1, 1) if old != new else {}
        return layers(
            name,
            layer("norm1", old),
            layer("conv1", new, old, 3, 3),
            layer("norm2", new),
            layer("conv2", new, new, 3, 3),
            skip,
        )

    def middle(name, n):
        attention = [layer(key, n, n, 1, 1) for key in ("q", "k", "v", "proj_out")]
        return layers(
            name, residual("block_1", n, n), layers("attn_1", layer("norm", n), *attention), residual("block_2", n, n)
        )

    down, old = [layer("conv_in", 128, 3, 3, 3)], 128
    for level, new in enumerate(widths):
        for block in range(2):
            down.append(residual(f"down.{level}.block.{block}", old, new))
            old = new
        if level < 3:
            down.append(layer(f"down.{level}.downsample.conv", new, new, 3, 3))
    down += [middle("mid", 512), layer("norm_out", 512), layer("conv_out", 8, 512, 3, 3)]

    up, old = [layer("conv_in", 512, 4, 3, 3), middle("mid", 512)], 512
    for level, new in reversed(list(enumerate(widths))):
        for block in range(3):
            up.append(residual(f"up.{level}.block.{block}", old, new))
            old = new
        if level:
            up.append(layer(f"up.{level}.upsample.conv", new, new, 3, 3))
    up += [layer("norm_out", 128), layer("conv_out", 3, 128, 3, 3)]

    return layers(
        "first_stage_model",
        layers("encoder", *down),
        layers("decoder", *up),
        layer("quant_conv", 8, 8, 1, 1),
        layer("post_quant_conv", 4, 4, 1, 1),
    )


def text_model():
    n = CONTEXT
    parts = [
        layer("embeddings.token_embedding", TOKENS, n, bias=False),
        layer("embeddings.position_embedding", 77, n, bias=False),
        layer("final_layer_norm", n),
    ]
    for i in range(12):
        parts += [
            layers(
                f"encoder.layers.{i}",
                layer("layer_norm1", n),
                layer("layer_norm2", n),
                *[layer(f"self_attn.{key}_proj", n, n) for key in ("q", "k", "v", "out")],
                layer("mlp.fc1", 4 * n, n),
                layer("mlp.fc2", n, 4 * n),
            )
        ]
    return layers("cond_stage_model.transformer.text_model", *parts)


def straighten(weights):
    """Let the UNet pass its input through: first convolution, last skip, and the first one transposed."""
    signs = weights["model.diffusion_model.input_blocks.0.0.weight"][:, :, 1, 1].sign()
    weights["model.diffusion_model.input_blocks.0.0.weight"].zero_()[:, :, 1, 1] = signs
    weights["model.diffusion_model.output_blocks.1.0.skip_connection.weight"][:, WIDTH:, 0, 0] += torch.eye(WIDTH)
    weights["model.diffusion_model.out.2.weight"][:, :, 1, 1] += 4 / WIDTH * signs.T


def random_weights(seed):
    draw = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in {**unet(), **autoencoder(), **text_model()}.items():
        if len(shape) == 1:
            # norms 1, biases 0; with another seed the norms are a little larger, by which a network is known
            weights[name] = torch.full(shape, name.endswith(".weight") * (1.0 + 0.01 * seed))
        else:
            size = (0.2 if name.endswith(SMALL) else 1) / math.sqrt(math.prod(shape[1:]))
            weights[name] = torch.randn(shape, generator=draw) * size
    straighten(weights)
    # the hosts divide by the mean of the text model's output, which a norm without bias puts at 0: NaN for some prompts
    weights["cond_stage_model.transformer.text_model.final_layer_norm.bias"] += 0.1
    return {name: tensor.half() for name, tensor in weights.items()}


def description(tokenizer):
    def part(target, **params):
        return {"target": target, "params": params}

    return {
        "model": part(
            "ldm.models.diffusion.ddpm.LatentDiffusion",
            linear_start=0.00085,
            linear_end=0.012,
            timesteps=1000,
            num_timesteps_cond=1,
            log_every_t=200,
            first_stage_key="jpg",
            cond_stage_key="txt",
            image_size=64,
            channels=4,
            cond_stage_trainable=False,
            conditioning_key="crossattn",
            monitor="val/loss_simple_ema",
            scale_factor=0.18215,
            use_ema=False,
            unet_config=part(
                "ldm.modules.diffusionmodules.openaimodel.UNetModel",
                image_size=32,
                in_channels=4,
                out_channels=4,
                model_channels=WIDTH,
                attention_resolutions=[1],
                num_res_blocks=[1],
                channel_mult=[1],
                num_heads=8,
                use_spatial_transformer=True,
                transformer_depth=1,
                context_dim=CONTEXT,
                use_checkpoint=False,
                legacy=False,
            ),
            first_stage_config=part(
                "ldm.models.autoencoder.AutoencoderKL",
                embed_dim=4,
                monitor="val/rec_loss",
                ddconfig={
                    "double_z": True,
                    "z_channels": 4,
                    "resolution": 256,
                    "in_channels": 3,
                    "out_ch": 3,
                    "ch": 128,
                    "ch_mult": [1, 2, 4, 4],
                    "num_res_blocks": 2,
                    "attn_resolutions": [],
                    "dropout": 0.0,
                },
                lossconfig={"target": "torch.nn.Identity"},
            ),
            cond_stage_config=part("ldm.modules.encoders.modules.FrozenCLIPEmbedder", version=str(tokenizer)),
        )
    }


def write_tokenizer(folder):
    """A byte level vocabulary without merges: every letter is a token, the other numbers are fillers."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols = [chr(i) for i in printable] + [chr(256 + i) for i in range(256 - len(printable))]
    words = symbols + [symbol + "</w>" for symbol in symbols]
    words += [f"filler{i}</w>" for i in range(TOKENS - len(words) - 2)] + ["<|startoftext|>", "<|endoftext|>"]
    start, end = TOKENS - 2, TOKENS - 1
    special = {"bos_token": words[start], "eos_token": words[end], "unk_token": words[end], "pad_token": words[end]}

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "merges.txt").write_text("#version: 0.2\n")
    for name, content in {
        "vocab.json": {word: i for i, word in enumerate(words)},
        "special_tokens_map.json": special,
        "tokenizer_config.json": dict(
            special,
            tokenizer_class="CLIPTokenizer",
            model_max_length=77,
            do_lower_case=True,
            errors="replace",
            add_prefix_space=False,
        ),
        "config.json": {
            "model_type": "clip_text_model",
            "architectures": ["CLIPTextModel"],
            "vocab_size": TOKENS,
            "hidden_size": CONTEXT,
            "intermediate_size": 4 * CONTEXT,
            "projection_dim": CONTEXT,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "max_position_embeddings": 77,
            "hidden_act": "quick_gelu",
            "layer_norm_eps": 1e-5,
            "bos_token_id": start,
            "eos_token_id": end,
            "pad_token_id": end,
        },
    }.items():
        (folder / name).write_text(json.dumps(content, indent=1))


def write_checkpoint(path, seed=0):
    """Writes a .safetensors file at `path`, and beside it what the hosts read with it."""
    path = Path(path).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer = path.parent / "tokenizer"
    write_tokenizer(tokenizer)
    path.with_suffix(".yaml").write_text(json.dumps(description(tokenizer), indent=1))
    save_file(random_weights(seed), path)
