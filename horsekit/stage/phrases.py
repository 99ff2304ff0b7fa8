"""The words of the stage's prompts: phrasings with slots, and the synonyms that fill them.

In every tuple of phrasings each sixth is held out of training whole; synonyms are all seen in training.
"""

SUBJECT = """
A portrait of {who}.|We see {who}.|{who} faces us.|{who} is on screen.|{who} is in view.|Here is {who}.
The subject is {who}.|{who}, alone in frame.|A shot of {who}.|A video of {who}.
{who} stands before us.|A medium close-up of {who}.|On screen: {who}.|{who} fills the frame.
Only {who} is seen.|The star is {who}.|In front of us, {who}.|{who} in the middle.
A bust portrait of {who}.|{who} appears.|One figure: {who}.|This clip shows {who}.
The picture shows {who}.|{who} is the only one here.|Starring {who}.|A bust of {who}.|{who} at the centre.
Meet {who}.|There is {who}.|{who} takes the stage.|The frame holds {who}.|Enter {who}.
A close view of {who}.|{who}, seen from the chest up.|Presenting {who}.|The main figure is {who}.
"""

PAIR = """
{left} is on the left and {right} on the right.|On the left {left}, on the right {right}.
{left} stands left of {right}.|{right} stands right of {left}.|Two figures: {left} left, {right} right.
A two-shot of {left}, left, and {right}, right.|Side by side, {left} to the left and {right} to the right.
{left} on the left; {right} on the right.|To the right {right}, to the left {left}.
{right} is at the right of {left}.|Left: {left}. Right: {right}.|We see {left} at left and {right} at right.
{right} on the right beside {left}.|The left one is {left}, the right one {right}.
{left} (left) stands beside {right} (right).|A pair: {left} at the left, {right} at the right.
{right} takes the right side, {left} the left.|{left} holds the left of the frame, {right} the right.
"""

ACTION = """
{who} talks to the camera.|{who} looks at us and talks.|{who} speaks, nodding a little.
{who} talks with small nods.|{who} stays in place and talks.|{who} moves the head while talking.
{who} blinks and talks.|{who} addresses us.|{who} talks calmly.|{who} chats away.
{who} opens the mouth to speak.|{who} talks, head swaying.|{who} talks on the spot.
The head of {who} bobs with the words.|Small nods go with the words.|The mouth moves with every word.
The lips follow the words.|{who} turns a little and talks.|{who} talks facing us.
{who} gives a short speech.|{who} speaks up.|While talking, {who} nods.|{who} speaks to the viewer.
{who} tells us something.|{who} is mid-speech.|{who} is talking.|{who} delivers a line.
{who} keeps the gaze on us, talking.|The head drifts gently during the line.|{who} gestures with the head.
{who} stands still but for the head.|{who} makes a remark.|{who} begins a talk.
Talking, {who} looks about a little.|{who} talks in our direction.
{who} lets the head wander while speaking.
"""

IDLE = """
{who} looks at us.|{who} waits.|{who} stays in place.|{who} looks about a little.|{who} blinks.
{who} stands still.|{who} just looks.|{who} sways a little.|{who} rests.|The head of {who} drifts gently.
{who} watches us.|{who} turns the head a little.|{who} stands by.|Nothing but {who} waiting.|{who} listens.
{who} is at rest.|{who} gazes ahead.|{who} idles.
"""

DIALOGUE = """
{who} says{how}: "{line}".|{who} says, "{line}"{how}.|"{line}", says {who}{how}.
{who} speaks{how}: "{line}".|{who} tells us{how}: "{line}".|{who}{how}: "{line}".
The words of {who}{how}: "{line}".|{who} is saying "{line}"{how}.
{who} utters "{line}"{how}.|Spoken by {who}{how}: "{line}".
{who} talks{how}: "{line}".|{who} announces{how}: "{line}".
We hear {who} say{how}: "{line}".|Line of {who}{how}: "{line}".
{who} remarks{how}, "{line}".|{who} calls{how}: "{line}".
{who} states{how}: "{line}".|"{line}"{how}, spoken by {who}.
{who} says these words{how}: "{line}".|{who} pronounces{how} "{line}".
{who} replies{how}: "{line}".|Voice of {who}{how}: "{line}".
{who} declares{how}: "{line}".|{who} adds{how}: "{line}".
{who} begins to speak{how}: "{line}".|{who} has one line{how}: "{line}".
"{line}" is what {who} says{how}.|{who} speaks the line "{line}"{how}.
What {who} says{how}: "{line}".|{who} exclaims{how}: "{line}".
The speaker is {who}{how}: "{line}".|{who} reads out{how}: "{line}".
{who} recites{how} "{line}".|{who} goes{how}: "{line}".
Speech of {who}{how}: "{line}".|{who} greets us{how}: "{line}".
"""

# {how} of DIALOGUE, before the language
DELIVERIES = {
    "soft": "softly|in a soft voice|under the breath",
    "loud": "loudly|in a loud voice|at the top of the voice",
    "slow": "slowly|at a slow pace|drawing out the words",
    "fast": "quickly|at a fast pace|in a hurry",
    "flat": "flatly|in a monotone|without expression",
    "lively": "in a lively tone|with much expression|in a singsong",
}

SILENT = """
{who} says nothing.|{who} is silent, mouth closed.|No one speaks.|{who} does not speak.|{who} keeps silent.
Nobody says a word.|The mouth of {who} stays closed.|{who} says not a word.|There is no speech.|No dialogue.
{who} stays silent.|Not a word is spoken.|{who} keeps the lips shut.|Silent shot, no one speaks.
Lips closed, no speech.|{who} remains silent.|No voice is heard.|{who} holds the mouth closed.
"""

# {does} "pushes in", {do} "push in", {noun} "push-in", {adverb} " slowly", {adjective} "slow ",
# {amount} " a little"
CAMERA = """
The camera {does}{amount}{adverb}.|The camera {does}{adverb}{amount}.|Camera move: {do}{amount}{adverb}.
A {adjective}{noun}{amount}.|The shot is a {adjective}{noun}{amount}.|{do}{amount}{adverb}.
The view {does}{amount}{adverb}.|With a {adjective}{noun} the camera moves{amount}.
Camera work: {adjective}{noun}{amount}.|We {do}{amount}{adverb}.|The lens {does}{amount}{adverb}.
Filmed as a {adjective}{noun}{amount}.
"""

# move: verbs, nouns
MOVES = {
    "static": (
        "stay still|stand fixed|hold still|remain in place|stay put|rest on a tripod",
        "static shot|locked-off shot|fixed view|still frame",
    ),
    "pan_left": (
        "pan left|pan to the left|turn left|swivel to the left|look left",
        "pan left|left pan|leftward pan",
    ),
    "pan_right": (
        "pan right|pan to the right|turn right|swivel to the right|look right",
        "pan right|right pan|rightward pan",
    ),
    "tilt_up": ("tilt up|tilt upward|look up|tip up|turn upward", "tilt up|upward tilt|tilt toward the top"),
    "tilt_down": (
        "tilt down|tilt downward|look down|tip down|turn downward",
        "tilt down|downward tilt|tilt toward the floor",
    ),
    "dolly_in": (
        "push in|dolly in|move closer|come nearer|draw in|travel forward",
        "push-in|dolly in|move closer|forward dolly",
    ),
    "dolly_out": (
        "pull out|dolly out|pull back|move away|draw back|travel backward",
        "pull-out|dolly out|pull-back|backward dolly",
    ),
    "truck_left": (
        "truck left|slide left|move sideways to the left|glide left|track left",
        "truck left|slide to the left|leftward tracking move",
    ),
    "truck_right": (
        "truck right|slide right|move sideways to the right|glide right|track right",
        "truck right|slide to the right|rightward tracking move",
    ),
    "orbit_left": (
        "orbit left|circle round to the left|arc left|move round to the left|swing round left",
        "orbit left|left orbit|leftward arc",
    ),
    "orbit_right": (
        "orbit right|circle round to the right|arc right|move round to the right|swing round right",
        "orbit right|right orbit|rightward arc",
    ),
    "crane_up": (
        "crane up|rise|lift up|climb above|boom up",
        "crane up|rising crane shot|upward boom|lift",
    ),
    "crane_down": (
        "crane down|sink|lower down|descend|boom down",
        "crane down|sinking crane shot|downward boom|descent",
    ),
    "zoom_in": ("zoom in|zoom closer|zoom in on the face|tighten by zoom", "zoom in|zoom-in|tightening zoom"),
    "zoom_out": (
        "zoom out|zoom wider|zoom out from the face|widen by zoom",
        "zoom out|zoom-out|widening zoom",
    ),
    "handheld": (
        "sway as if handheld|wobble like a handheld|drift handheld|shake a little, handheld",
        "handheld shot|shaky handheld view|handheld take|hand-held sway",
    ),
}
# speed: adverbs, adjectives
SPEEDS = {
    "slow": (" slowly| gently| at a slow pace| unhurriedly", "slow |gentle |calm "),
    "normal": ("| steadily| at an even pace| smoothly", "|steady |smooth "),
    "fast": (" quickly| fast| swiftly| at a quick pace", "quick |fast |swift "),
}
AMOUNTS = {
    "small": " a little| slightly| a bit",
    "middle": "|",
    "large": " far| a long way| by a lot",
}

# {colour} "warm", {side} "from the left", {contrast} "soft fill", {skin} "matte skin"
LIGHT = """
{colour} key light {side}, {contrast}, {skin}.|{colour} light {side}, {contrast}, {skin}.
Lit {side} in {colour} light; {contrast}; {skin}.|{colour} light falls {side}, {contrast}, {skin}.
Lights {colour}, {side}, {contrast}, {skin}.|{skin} under {colour} light {side}, {contrast}.
{colour} light comes {side}; {contrast}; {skin}.|A {colour} lamp {side}, {contrast}, {skin}.
{side}, {colour} light; {contrast}, {skin}.|The light is {colour} and comes {side}, {contrast}, {skin}.
{contrast}, {colour} light {side}, {skin}.|A {colour} key {side} with {contrast} and {skin}.
{colour} glow {side}, {contrast}, {skin}.|The key light is {colour}, {side}; {contrast}; {skin}.
{skin}, {contrast}, {colour} light {side}.|Lighting {side}: {colour}, {contrast}, {skin}.
{colour} lighting {side} with {contrast}, {skin}.|With {contrast}, {colour} light {side} on {skin}.
{colour} light {side} on {skin}, {contrast}.|One {colour} light {side}, {contrast}, {skin}.
The scene is lit {side}, {colour}, {contrast}, {skin}.|A {colour} light shines {side}, {contrast}; {skin}.
{colour} rays {side}, {contrast}, {skin}.|{skin} lit {side} by {colour} light, {contrast}.
Key {side}, {colour}; {contrast}; {skin}.|Main light {side}, {colour}, {contrast}, {skin}.
{colour} illumination {side}, {contrast}, {skin}.|{side} a {colour} key, {contrast}, {skin}.
{colour} light, {contrast}, set {side}, {skin}.|The key falls {side}, {colour}, with {contrast}; {skin}.
Studio light {side}: {colour}, {contrast}, {skin}.|{contrast} and {colour} light {side}; {skin}.
{skin}; {colour} light {side}; {contrast}.|A {colour} spotlight {side}, {contrast}, {skin}.
{colour} beam {side}, {contrast}, {skin}.|Lamp light {side}, {colour}, {contrast}, {skin}.
"""
COLOURS = {
    "white": "white|neutral|clean white|plain",
    "warm": "warm|golden|amber|candle-warm",
    "cool": "cool|bluish|cold blue|moon-blue",
    "rose": "rose|pink|rosy",
    "mint": "mint|green-tinted|greenish",
}
SIDES = (
    "from the front|head-on",
    "from the front left|from front left",
    "from the left|from the left side",
    "from the back left|from behind left",
    "from behind|from the back",
    "from the back right|from behind right",
    "from the right|from the right side",
    "from the front right|from front right",
)
CONTRASTS = {
    "low": "low contrast|soft fill|faint shadows",
    "medium": "medium contrast|moderate shadows|balanced fill",
    "high": "high contrast|deep shadows|little fill",
}
GLOSS = {
    "matte": "matte skin|skin without shine|powdered skin",
    "normal": "natural skin|faintly shiny skin|skin with a soft sheen",
    "oily": "oily skin|very shiny skin|glossy skin",
}

# {sound} "soft wind"
SOUND = """
{sound}.|We hear {sound}.|Sounds: {sound}.|In the background sounds {sound}.|The sound of {sound}.
{sound} can be heard.|Ambient sound: {sound}.|Behind it all, {sound}.|{sound} is audible.|One hears {sound}.
Audio: {sound}.|Faintly, {sound} is heard.|Ambience of {sound}.|There is {sound} to hear.
Soundtrack: {sound}.|Under it all, the sound of {sound}.|{sound} sounds softly.|Quietly heard: {sound}.
The microphone picks up {sound}.|Also heard: {sound}.|{sound} in the sound.|With the sound of {sound}.
Around us the sound of {sound}.|Audible: {sound}.|Background audio of {sound}.|{sound} fills the ambience.
Low in the sound, {sound}.|Besides, {sound} is heard.|The ambience is {sound}.|Listen: {sound}.
A sound bed of {sound}.|As ambience, {sound}.|To be heard: {sound}.|The audio has {sound}.
A hint of {sound} is heard.|Ears catch the sound of {sound}.
"""
SOUNDS = {
    "silence": "silence|complete quiet|dead silence|stillness",
    "room tone": "a quiet room|soft room tone|the hush of a room|faint room noise",
    "hum": "a low hum|an electric hum|a humming machine|mains hum",
    "wind": "soft wind|a breeze|blowing wind|the rush of wind",
    "rain": "steady rain|falling rain|the patter of rain|rainfall",
    "waves": "the sea|the surf|a rolling sea|the wash of waves",
    "birds": "birdsong|the chirp of birds|the singing of birds|a chirping bird",
}

# {wall} "pale blue"
SETTING = """
A round room with {wall} walls.|A {wall} room with coloured balls.|Behind, a {wall} wall and coloured balls.
The background is {wall}.|A {wall} backdrop with floating balls.|In a {wall} room.|Before a {wall} wall.
A {wall} studio.|The room is {wall}, with balls in the air.|The setting is a {wall} room.
Coloured balls hang before a {wall} wall.|A {wall} set with hanging balls.|The walls are {wall}.
Inside a {wall} hall.|Against a {wall} wall.|{wall} walls all round.|The place is a {wall} room.
A studio in {wall}.|Balls float in a {wall} room.|{wall} backdrop.|The wall behind is {wall}.
A {wall} space with bright balls.|Surrounded by {wall} walls.|A {wall} interior.
In front of {wall} paint and coloured balls.|The scene is a {wall} room.|Location: a {wall} studio.
Bright balls against {wall}.|A wall in {wall} behind.|A {wall} chamber with balls.
Round {wall} walls behind.|The backdrop is {wall}, dotted with balls.|Somewhere in a {wall} room.
In a {wall} studio with balls.|Room: {wall} walls, coloured balls.|Indoors, {wall} walls.
"""


def listed(table: str) -> tuple[str, ...]:
    """The entries of a table, one per bar."""
    return tuple(entry for row in table.strip("\n").splitlines() for entry in row.split("|"))


def phrasings(table: str, split: str) -> tuple[str, ...]:
    """The phrasings of a table that belong to "train" or "held_out"."""
    return tuple(p for i, p in enumerate(listed(table)) if (i % 6 == 5) == (split == "held_out"))
