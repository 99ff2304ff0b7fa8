"""By which words a sentence is taken for one on the camera, on the light, on what is done or heard, and so on."""

import re

# Tried in this order; the first layer with a cue in the sentence takes it.
_CUES = {
    "dialogue": r"[\"“「]|\b(says?|silent|nobody|no one|not (speak|a word)|closed|shut"
    r"|no (speech|dialogue|voice))\b",
    "camera": r"\b(camera|shot|take|fram(e|ed|ing)|lens|view|tripod|close-up|hand-?held|pans?|panning"
    r"|tilts?|tilting|doll(y|ies)|push(es)?[ -]in|pulls?[ -](back|out)|draws? (in|back)|trucks?|track(ing)?|orbits?"
    r"|zooms?|zooming|cranes?|booms?|tightens?|widens?)\b"
    # what smoke that rises and she who looks up do as well: of the camera where nobody else is named before it
    r"|^(?:[a-z]+ly,? |then,? |next,? |and |we )*(slides?|glides?|arcs?|circles?|swings?|swivels?|rises?|rising"
    r"|lifts?|climbs?|sinks?|lowers?|descen(d|ds|t)|travels?|moves? (closer|away|round|sideways)"
    r"|(come|look|tip|turn|stay|stand|hold|remain)s?"
    r" (up|down|upward|downward|left|right|fixed|put|still|nearer|in place))\b"
    r"|^(?:an? ([a-z-]+ ){0,3}|(?:(?:very|slow|quick|fast|swift|smooth|steady|gentle|calm|slight|wide) )+)"
    r"(slide|glide|arc|circle|swing(?! music)|rise|lift|climb|descent|turn|move (closer|away))\b"
    r"|^an? ([a-z-]+ ){0,3}look\b"
    r"|\bfilmed (as|in an? ([a-z]+ ){0,2}(arc|glide|slide|circle|swing|rise|lift|climb|descent))\b",
    "light": r"\b(light\w*|lit|glow\w*|shad(e|ow)\w*|sun\w*|moonlight|backlit|rim|key|beam|rays|lamp\w*"
    r"|illumin\w*|contrast|skin|gloss\w*|matte|oily|sheen|shin[ey]\w*)\b",
    "sound": r"\b(sound\w*|hear\w*|audi(o|ble)|microphone|listen|ambien\w*|noise|hum\w*|murmur\w*"
    r"|birds?\w*|chirp\w*|patter\w*|rustl\w*|music|quiet|silence|stillness|hush|room tone|wind|breeze"
    r"|rain\w*|surf|sea|of waves)\b",
    "setting": r"\b(background|backdrop|behind|setting|room|street|place|scene|walls?|sky|field|hills?"
    r"|studio|interior|space|hall|set|chamber|paint|surround\w*|location|outdoors|indoors|against"
    r"|in front of)\b",
    "action": r"\b(talk\w*|speak\w*|tells?|chats?|address\w*|speech|words?|remark|delivers?|nod\w*|sway\w*"
    r"|bobs?|drifts?|rocks?|shakes?|turns?|gestures?|head|gaze\w*|lips|mouth|looks?|watches|blinks?"
    r"|listens?|moves?|walks?|runs?|waves?|leans?|stays?|stands? (still|by)|keeps?|still|waits?|waiting"
    r"|rests?|idles?)\b",
}
# who looks up or pulls back is no camera, unless it is named beside
SOMEBODY_BEGINS = r"\W*(?:then |and )?(?:he|she|they|his|her|their|both|every(?:body|one))\b"
_SOMEBODY = re.compile(SOMEBODY_BEGINS, re.IGNORECASE)
_CAMERA_ITSELF = re.compile(
    r"\b(?:camera|lens|view|we|fram(?:e|ed|ing)|filmed as|shot|take|tripod|close-up|hand-?held|push[ -]in"
    r"|pull[ -](?:back|out)|zoom|dolly)\b",
    re.IGNORECASE,
)
_OF_A_SUBJECT = ("dialogue", "action")  # what else a sentence that names a subject can be


def layer_by_words(sentence: str, names_subject: bool) -> str:
    """The layer that a sentence most likely belongs to.

    names_subject: whether it mentions a reference picture or a character.
    """
    acts = _SOMEBODY.match(sentence) and not _CAMERA_ITSELF.search(sentence)
    for layer in _OF_A_SUBJECT if names_subject else _CUES:
        if acts and layer == "camera":
            continue
        if re.search(_CUES[layer], sentence, re.IGNORECASE):
            return layer
    return "subject"
