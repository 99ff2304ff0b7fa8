"""Prompt and references in, a clip out, on a small untrained model."""

import threading
from dataclasses import replace

import pytest
import torch

from horsekit import Pipeline
from horsekit.flow import Guidance
from horsekit.media import Clip, MediaError, Picture, Sound
from horsekit.pipeline import check_fit
from horsekit.request import Request, open_canvas, windows
from horsekit.transformer import CheckpointError, TransformerConfig, UnifiedTransformer

PROMPT = '[Image 1] says: "good morning". The camera pushes in slowly.'


@pytest.fixture(scope="module")
def pipeline(tiny_pipeline_folder) -> Pipeline:
    model = Pipeline.from_pretrained(tiny_pipeline_folder)
    # a fresh model predicts zero everywhere; give it something to say
    torch.manual_seed(1)
    with torch.no_grad():
        for head in (model.transformer.final_linear_video, model.transformer.final_linear_audio):
            head.weight.normal_(0, 0.1)
        model.transformer.adapter.slot_embedder.weight.normal_()
    return model


def picture(seed: int = 0, height: int = 40, width: int = 56) -> Picture:
    generator = torch.Generator().manual_seed(seed)
    return Picture(torch.randint(0, 256, (height, width, 3), generator=generator, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("setting", "remedy"),
    [
        ({"steps": 0}, "at least 1"),
        ({"steps": 2.5}, "at least 1"),
        ({"shift": 0.0}, "above 0"),
        ({"sampler": "magic"}, "euler, unipc"),
        ({"renew_above": 2}, "0 to 1"),
        ({"renew_above": "none"}, "0 to 1"),
    ],
)
def test_settings_that_no_sampler_takes_are_refused(pipeline, setting, remedy):
    with pytest.raises(ValueError, match=remedy):
        replace(pipeline.settings, **setting)


def test_a_clip_has_the_asked_length_and_sound_of_the_same_length(pipeline):
    clip = pipeline.generate(PROMPT, [picture()], seconds=0.64, seed=3)
    assert clip.frames.shape == (17, 32, 32, 3)
    assert clip.waveform.shape == (17 * 640, 1)


def test_the_same_seed_gives_the_same_clip_and_another_seed_another(pipeline):
    first, again, other = (pipeline.generate(PROMPT, [picture()], 0.32, seed) for seed in (5, 5, 6))
    assert torch.equal(first.frames, again.frames) and torch.equal(first.waveform, again.waveform)
    assert not torch.equal(first.frames, other.frames)


def test_clips_made_together_are_those_made_alone(pipeline):
    requests = [Request(PROMPT, [picture(k)], 0.32, seed=k) for k in range(3)]
    together = pipeline.generate_many(requests)
    for request, clip in zip(requests, together, strict=True):
        alone = pipeline.generate_many([request])[0]
        assert (alone.frames.int() - clip.frames.int()).abs().max() <= 1
        # finding the phases amplifies rounding a little
        assert (alone.waveform - clip.waveform).norm() < 0.05 * clip.waveform.norm()


def test_requests_with_and_without_references_go_together(pipeline):
    mixed = [Request(PROMPT, [picture()], 0.32), Request("a quiet room.", (), 0.32)]
    clips = pipeline.generate_many(mixed)
    assert len(clips) == 2 and clips[0].frames.shape == clips[1].frames.shape


def test_nine_pictures_in_four_slots_are_all_looked_at(pipeline):
    prompt = "[Image 1], [Image 2], [Image 3] and [Image 4] wave."
    slots = [[picture(10 * slot + k) for k in range(3 if slot == 0 else 2)] for slot in range(4)]
    base = pipeline.generate(prompt, slots, 0.32)
    for slot in range(4):
        other = [[*pictures[:-1], picture(99)] if k == slot else pictures for k, pictures in enumerate(slots)]
        assert not torch.equal(base.frames, pipeline.generate(prompt, other, 0.32).frames)


def speech(seed: int = 0, seconds: float = 1.0) -> Sound:
    return Sound(
        0.1 * torch.randn(round(16_000 * seconds), 1, generator=torch.Generator().manual_seed(seed)), 16_000
    )


def test_a_voice_matters_and_can_be_guided_apart(pipeline):
    asked = (PROMPT, [picture(0)], 0.32)
    silent = pipeline.generate(*asked)
    heard, other = (pipeline.generate(*asked, voices=[speech(seed)]) for seed in (0, 1))
    assert not torch.equal(silent.frames, heard.frames) and not torch.equal(heard.waveform, other.waveform)
    louder = pipeline.generate(*asked, voices=[speech()], guidance=Guidance(2.0, 1.5, voice=3.0))
    assert not torch.equal(louder.waveform, heard.waveform)
    none = pipeline.generate(*asked, voices=[None])
    assert torch.equal(none.frames, silent.frames)
    briefly = pipeline.generate(
        *asked, voices=[speech()], guidance=Guidance(2.0, 1.5, voice=3.0, sound_above=1.0)
    )
    assert not torch.equal(briefly.waveform, louder.waveform)


def test_who_does_not_speak_is_not_heard(pipeline):
    asked = (
        '[Image 1] looks at [Image 2]. [Image 2] says: "good morning".',
        [[picture(0)], [picture(1)]],
        0.32,
    )
    mine, yours, another = (speech(seed) for seed in range(3))
    heard = pipeline.generate(*asked, voices=[mine, yours]).waveform
    assert torch.equal(heard, pipeline.generate(*asked, voices=[another, yours]).waveform)
    assert torch.equal(heard, pipeline.generate(*asked, voices=[None, yours]).waveform)
    assert not torch.equal(heard, pipeline.generate(*asked, voices=[mine, another]).waveform)


def test_the_picture_alone_is_pulled_to_the_sound(pipeline, monkeypatch):
    monkeypatch.setattr("horsekit.pipeline.fast_bf16", lambda device: False)  # sums are compared
    asked = (PROMPT, [picture(0)], 0.32)
    pull = Guidance(2.0, 1.5, sync=10.0)
    plain, pulled = (pipeline.generate(*asked, steps=2, guidance=g) for g in (Guidance(2.0, 1.5), pull))
    assert not torch.equal(plain.frames, pulled.frames)
    # by the second of two steps the picture has not changed the sound, but for the rounding of the longer sum
    torch.testing.assert_close(plain.waveform, pulled.waveform, rtol=1e-3, atol=0.01)
    sounds = [speech(seed, 0.36) for seed in (0, 1)]
    apart = [
        torch.stack([pipeline.generate(*asked, sound=s, guidance=g).frames.float() for s in sounds])
        for g in (Guidance(2.0, 1.5), pull)
    ]
    plain, pulled = ((a - b).square().mean() for a, b in apart)
    assert pulled > 4 * plain, "another sound makes another picture, the more the stronger the pull"
    request = Request(*asked)
    together = pipeline.generate_many([Request("a quiet room.", (), 0.32, 1), request], guidance=pull)
    alone = pipeline.generate_many([request], guidance=pull)[0]
    assert (together[1].frames.float() - alone.frames.float()).abs().max() <= 1


def test_products_are_in_bf16_only_where_that_is_fast_and_the_model_leaves_it_open(pipeline, monkeypatch):
    made, seen = {}, []
    forward = pipeline.transformer.forward
    monkeypatch.setattr(
        pipeline.transformer,
        "forward",
        lambda *a: seen.append(torch.is_autocast_enabled("cpu")) or forward(*a),
    )
    config = pipeline.transformer.config
    for fast in (False, True):
        monkeypatch.setattr("horsekit.pipeline.fast_bf16", lambda device, fast=fast: fast)
        seen.clear()
        outside = []
        made[fast] = pipeline.generate(
            PROMPT,
            [picture(0)],
            0.32,
            callback=lambda _, outside=outside: outside.append(torch.is_autocast_enabled("cpu")),
        )
        assert set(seen) == {fast}
        assert set(outside) == {False}, "what a caller does in the callback keeps its own precision"
    apart = (made[True].frames.float() - made[False].frames.float()).abs()
    assert 0 < apart.mean() < 2
    seen.clear()
    monkeypatch.setattr(pipeline.transformer, "config", replace(config, params_dtype="bfloat16"))
    pipeline.generate(PROMPT, [picture(0)], 0.32)
    assert set(seen) == {False}


def test_noise_that_is_drawn_anew_is_the_clips_own(pipeline, monkeypatch):
    request = Request(PROMPT, [picture(0)], 0.32, 5)
    plain = pipeline.generate_many([request])[0]
    monkeypatch.setattr(pipeline, "settings", replace(pipeline.settings, renew_above=0.5))
    alone, again = (pipeline.generate_many([request])[0] for _ in range(2))
    together = pipeline.generate_many([Request("a quiet room.", (), 0.32, 1), request])[1]
    assert not torch.equal(alone.frames, plain.frames)
    assert torch.equal(alone.frames, again.frames) and torch.equal(alone.waveform, again.waveform)
    assert (together.frames.float() - alone.frames.float()).abs().max() <= 1
    film = pipeline.generate(PROMPT, [picture(0)], 0.32, film=plain)
    assert torch.equal(film.frames, plain.frames)


def test_a_film_keeps_its_picture_and_its_sound_is_not_pulled(pipeline):
    film = pipeline.generate(PROMPT, [picture(0)], 0.32)
    plain, pulled = (
        pipeline.generate(PROMPT, [picture(0)], 0.32, film=film, guidance=Guidance(2.0, 1.5, sync=sync))
        for sync in (1.0, 4.0)
    )
    assert torch.equal(plain.waveform, pulled.waveform) and torch.equal(pulled.frames, film.frames)


def test_the_picture_and_the_words_matter(pipeline):
    base = pipeline.generate(PROMPT, [picture(0)], 0.32)
    other_picture = pipeline.generate(PROMPT, [picture(1)], 0.32)
    other_words = pipeline.generate(PROMPT.replace("slowly", "fast"), [picture(0)], 0.32)
    assert not torch.equal(base.frames, other_picture.frames)
    assert not torch.equal(base.frames, other_words.frames)


def test_remembered_references_equal_references_computed_anew(pipeline):
    from horsekit.sequence import pack

    settings = pipeline.settings
    request = Request(PROMPT, [[picture(0), picture(1)]], 0.32)
    canvas = open_canvas(request, pipeline.tokenizers, settings.size, settings.max_seconds)
    sequences = [canvas.sequence(canvas.windows[0], pipeline.tokenizers)]
    batch = pack(sequences)
    with torch.inference_mode():
        memory = pipeline.transformer.remember(batch.references)
        cached, anew = pipeline.transformer(batch, memory), pipeline.transformer(batch)
    assert torch.equal(cached.video, anew.video) and torch.equal(cached.audio, anew.audio)


def test_the_first_frame_given_is_the_first_frame_made(pipeline):
    given = picture(7, 32, 32)
    clip = pipeline.generate(PROMPT, [picture()], 0.32, first_frame=given)
    video = pipeline.tokenizers.video
    with torch.inference_mode():
        expected = video.decode(video.encode(given.pixels[None, None]))[0, 0]
    assert (clip.frames[0].int() - expected.int()).abs().max() <= 1


def test_a_driving_sound_is_heard_as_it_was_given(pipeline):
    waveform = torch.sin(torch.arange(6_000) * 0.2)[:, None] * 0.3
    clip = pipeline.generate(PROMPT, [picture()], 0.32, sound=Sound(waveform, 16_000))
    torch.testing.assert_close(clip.waveform, waveform[: len(clip.waveform)])


def test_the_last_frame_given_is_the_last_frame_made(pipeline):
    given = picture(7, 32, 32)
    clip = pipeline.generate(PROMPT, [picture()], 0.32, last_frame=given)
    held = given.pixels.expand(5, -1, -1, -1)
    video = pipeline.tokenizers.video
    with torch.inference_mode():
        expected = video.decode(video.encode(held[None]))[0, -1]
    assert (clip.frames[-1].int() - expected.int()).abs().max() <= 1
    free = pipeline.generate(PROMPT, [picture()], 0.32)
    assert not torch.equal(clip.frames[0], free.frames[0])  # the rest knows how it ends


def noisy_film(frames: int, seed: int = 3) -> Clip:
    source = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (frames, 32, 32, 3), generator=source, dtype=torch.uint8)
    return Clip(pixels, 0.1 * torch.randn(frames * 640, 1, generator=source))


def test_a_silent_film_keeps_its_picture_and_gets_a_sound(pipeline):
    film = noisy_film(19)
    clip = pipeline.generate("rain on a roof.", film=film)
    assert torch.equal(clip.frames, film.frames[:17])  # what fills no latent is left out
    other = pipeline.generate("rain on a roof.", film=noisy_film(19, 4))
    assert clip.waveform.shape == (17 * 640, 1) and not torch.equal(clip.waveform, other.waveform)


def test_a_clip_goes_on_from_where_it_ends(pipeline):
    before = pipeline.generate(PROMPT, [picture()], 0.32)
    clip = pipeline.generate(PROMPT, [picture()], 0.64, before=before)
    assert len(clip.frames) == 9 + 16 and len(clip.waveform) == 25 * 640
    assert torch.equal(clip.frames[:9], before.frames)
    torch.testing.assert_close(clip.waveform[: 8 * 640], before.waveform[: 8 * 640])
    bare = pipeline.generate(PROMPT, [picture()], 0.96)
    assert not torch.equal(clip.frames[9:], bare.frames[9:])


def test_a_long_clip_is_made_in_windows_and_previews_all_along(pipeline):
    seen = []
    clip = pipeline.generate(
        PROMPT, [picture()], 3.2, steps=2, callback=lambda p: seen.append((p.index, p.total, p.preview()))
    )
    assert len(clip.frames) == 81 and len(clip.waveform) == 81 * 640
    count = len(windows(21, 9))
    assert [s[:2] for s in seen] == [(k, 2 * count) for k in range(2 * count)]
    assert all(s[2].frames.shape == clip.frames.shape for s in seen)


def test_long_and_short_clips_are_made_together(pipeline):
    requests = [Request(PROMPT, [picture()], seconds, 4) for seconds in (0.32, 2.0)]
    together = pipeline.generate_many(requests, steps=2)
    for request, clip in zip(requests, together, strict=True):
        alone = pipeline.generate_many([request], steps=2)[0]
        assert (alone.frames.int() - clip.frames.int()).abs().max() <= 1


def test_a_long_clip_can_be_driven_by_a_sound(pipeline):
    waveform = torch.sin(torch.arange(42_000) * 0.2)[:, None] * 0.3
    clip = pipeline.generate(PROMPT, [picture()], 2.56, steps=2, sound=Sound(waveform, 16_000))
    torch.testing.assert_close(clip.waveform, waveform[: len(clip.waveform)])


def test_the_callback_previews_and_stops(pipeline):
    seen = []

    class Stop(Exception):
        pass

    def watch(progress):
        seen.append(progress.preview().frames.shape)
        if progress.index == 1:
            raise Stop

    with pytest.raises(Stop):
        pipeline.generate(PROMPT, [picture()], 0.32, callback=watch)
    assert seen == [(9, 32, 32, 3)] * 2


def test_camera_and_light_can_be_pulled_apart_from_the_other_words(pipeline, monkeypatch):
    monkeypatch.setattr("horsekit.pipeline.fast_bf16", lambda device: False)  # pictures are compared
    apart = Guidance(2.0, 1.5, direction=6.0)
    said = '[Image 1] says: "good morning".'
    for words, same in ((said, True), (f"{said} The camera pans left. Warm light from the left.", False)):
        asked = (words, [picture()], 0.32)
        plain, pulled = (pipeline.generate(*asked, guidance=g) for g in (Guidance(2.0, 1.5), apart))
        assert ((plain.frames.float() - pulled.frames.float()).abs().max() <= 1) == same
    made = pipeline.generate("The camera pans left.", [picture()], 0.32, guidance=apart)
    assert len(made.frames) == 9, "a prompt of nothing else has words to go without"


def test_guidance_one_runs_the_model_once_a_step(pipeline, monkeypatch):
    calls = []
    forward = pipeline.transformer.forward
    monkeypatch.setattr(pipeline.transformer, "forward", lambda *a: calls.append(1) or forward(*a))
    pipeline.generate(PROMPT, [picture()], 0.32, steps=2, guidance=Guidance(1, 1))
    assert len(calls) == 2


BAD = [
    ({"prompt": ""}, ValueError, "prompt"),
    ({"prompt": "x" * 100_000}, ValueError, "100[,_]?000"),
    ({"prompt": "[Image 3] waves."}, ValueError, r"\[Image 3\]"),
    ({"prompt": '[Image 1] says "hello" (0.1-0.9 s).'}, ValueError, "until 0.9 s, but the clip has 0.36 s"),
    ({"prompt": "The camera pans left and pans right."}, ValueError, "pan left and pan right at once"),
    ({"prompt": '[Image 1] says "' + "one more word " * 9 + '".'}, ValueError, "cannot be said in 0.36 s"),
    ({"seconds": 0}, ValueError, "seconds"),
    ({"seconds": float("nan")}, ValueError, "seconds"),
    ({"references": [picture()] * 5}, ValueError, "5 characters"),
    ({"references": [[picture()] * 10]}, ValueError, "10 reference pictures"),
    ({"references": [[]]}, ValueError, "empty list"),
    ({"references": ["nowhere.png"]}, MediaError, "nowhere.png"),
    ({"references": [picture(0, 1, 1)]}, ValueError, "1"),
    ({"steps": 0}, ValueError, "steps"),
    ({"voices": [speech()] * 3}, ValueError, r"3 voices were given for 2 character"),
    ({"voices": [None, speech(0, 0.1)]}, ValueError, r"voice of \[Image 2\] has 0.10 s"),
    ({"voices": [Sound(torch.zeros(16_000, 1), 16_000)]}, ValueError, r"voice of \[Image 1\] is silent"),
    ({"film": noisy_film(9), "sound": Sound(torch.zeros(99, 1), 16_000)}, ValueError, "nothing to make"),
    ({"film": noisy_film(9), "last_frame": picture()}, ValueError, "last_frame was given beside film"),
    ({"before": noisy_film(9), "first_frame": picture()}, ValueError, "first_frame was given beside before"),
]


@pytest.mark.parametrize(("change", "error", "words"), BAD, ids=[str(sorted(b[0])) + b[2][:9] for b in BAD])
def test_bad_input_is_named(pipeline, change, error, words):
    asked = {"prompt": PROMPT, "references": [picture(), picture()], "seconds": 0.32} | change
    with pytest.raises(error, match=words):
        pipeline.generate(**asked)


def test_an_unknown_model_and_a_damaged_one_are_named(tiny_pipeline_folder, tmp_path):
    import shutil

    with pytest.raises(ValueError, match="there is no model 'pony'"):
        Pipeline.from_pretrained("pony")
    shutil.copytree(tiny_pipeline_folder, tmp_path / "broken")
    weights = tmp_path / "broken" / "transformer" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cannot be read"):
        Pipeline.from_pretrained(tmp_path / "broken")


def test_a_transformer_that_the_tokenizers_do_not_fit_is_refused(tiny_pipeline_folder):
    pipeline = Pipeline.from_pretrained(tiny_pipeline_folder)
    narrow = UnifiedTransformer(replace(pipeline.transformer.config, audio_in_channels=3))
    with pytest.raises(ValueError, match=r"of sound .* use the tokenizers that the model was trained with"):
        Pipeline(narrow, pipeline.tokenizers, pipeline.settings)
    published = TransformerConfig.preset("magihuman-15b")
    with pytest.raises(ValueError, match=r"patches of \(1, 2, 2\) latents and states of words"):
        check_fit(published, pipeline.tokenizers)


def test_nobody_changes_the_adapters_of_a_clip_that_is_being_made(
    tiny_pipeline_folder, strong_adapter, tmp_path
):
    pipeline = Pipeline.from_pretrained(tiny_pipeline_folder)
    adapter = strong_adapter(tmp_path / "adapter.safetensors", {})
    picture = Picture(torch.full((64, 64, 3), 90, dtype=torch.uint8))
    alone = pipeline.generate("[Image 1] waves.", [picture], seconds=0.16, steps=3)
    threads = []

    def meddle(progress) -> None:
        if progress.index == 0:
            threads.append(threading.Thread(target=pipeline.adapt, args=(adapter,)))
            threads[0].start()
            threads[0].join(0.5)
            assert threads[0].is_alive(), "it waits for the clip"

    clip = pipeline.generate("[Image 1] waves.", [picture], seconds=0.16, steps=3, callback=meddle)
    threads[0].join()
    assert torch.equal(clip.frames, alone.frames) and pipeline.adapters
