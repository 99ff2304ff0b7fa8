"""What characters say: short lines in seven languages, a sixth of each held out of training.

Japanese is written in kana and numbers in words, as espeak-ng reads them.
"""

import hashlib

_ENGLISH = """
hello there|good morning|good evening|good night|goodbye|bye for now|see you soon|see you later|welcome home
welcome back|nice to meet you|how are you|how have you been|what is your name|my name is Bob|call me Pam
come with me|come in, please|come over here|come back soon|stay with me|stay right there|wait for me
wait a minute|just a moment|one more time|once upon a time|maybe tomorrow|maybe later|maybe not
perhaps you may|of course not|of course we can|I think so too|I hope so|I know that|I do not know
I want more|I want to go home|I need some help|I love music|I love my mum|I like apples|I like big maps
I bought a boat|I built a bridge|I found my book|I forgot my map|I made a pie|I made this for you
I miss you so much|I promise you|I remember you|I saw a bear|I saw the moon|I will be back|I will buy it
I will show you|I am over the moon|I am from Boston|I am not afraid|I am so happy|I am very proud
I am baking bread|we made it home|we are almost there|we are both happy|we can fly|we can do it
we found a path|we have a plan|we have time|we met in May|we must be brave|we should move on|we won the cup
we live by the sea|you are my friend|you are so kind|you can do it|you may begin|you must be joking
you look amazing|you made my day|you were right|he is my father|he has a big boat|he plays the piano
she is my mother|she sings so well|she bought some plums|she plays the drums|they are coming|they moved away
it is my birthday|it is time to go|it is a big world|it is up to you|it is warm outside|it may be true
it was a bad map|it works for me|is that my hat|is it far away|is anybody home|are you ready|are you coming
are we there yet|do you hear me|do you remember|do you like plums|can you help me|can you see the boat
can we go now|could you open up|will you be mine|would you mind|may I help you|may I come in|may I have more
what a beautiful day|what a big bear|what a lovely view|what a mess|what do you mean|what time is it
what happened here|where is my bag|where is Bob|where have you been|where are we now|when do we begin
who is coming|who are you|who made the pie|why not both|why so many|how much is it|how about some tea
how do you know|open the box|open your book|open the map|open up, please|close the window
shut the door, please|bring me my bag|bring some pepper|buy me a map|buy more bread|pick up the ball
pass me the jam|put it back|put the lamp up|put my cup up|push the button|pull the rope|play it again
play the trumpet|please be my guest|please help me|please come home|please remember me|keep moving
keep it simple|keep the lamp on|give me a moment|give it to me|give me five|give my mum a map
take my umbrella|take it easy|take a big bite|take a bow|make a wish|make some room|make my day
move over, please|move a bit more|look at me|look up there|look at the map|listen to me|listen to the bells
let me in|let me show you|let us begin|let us go|let us make a pie|let us play ball|tell me more
tell me a story|tell my brother|show me the map|show me the moon|show me how|sing along with me
speak up, please|stop it now|step by step|turn it up|try it again|trust me on this|watch me jump
watch the moon|walk with me|work with me|never mind|never again|not so fast|not my problem|no problem at all
no more bananas|nobody knows|nothing to worry about|now or never|over the bridge|over and over|by the way
bit by bit|big brown bears|blue paper boats|a bag of apples|a bowl of plums|a cup of tea|a map of Rome
a piece of pie|a room with a view|a moment of peace|a warm summer day|a bump in the map|a pepper and a plum
all of my pies|all the best to you|all my apples|almost perfect|always be kind|another apple|any more plums
anything for you|apples and pears|back to the map|bees love flowers|before the summer|begin at the top
behind the blue door|believe in me|better than ever|beware of the bear|birds fly home|boil the water
both of my boats|bread and butter|bubbles go pop|cheer up, my friend|cheese and wine|climb up with me
do not be afraid|do not move|do not stop now|drums and pipes|enough for both|every bit helps|everybody jump
far, far away|fire and water|five more minutes|flowers for mum|follow me home|forgive me, please
for my mother|from me to you|fun for everyone|go ahead, my friend|go up the ramp|good for you
grab a blue pen|great to be here|half of the map|happy birthday|happy to help|have a good day|have some more
hear me out|help me up|here is my map|here we go again|hold my hand|home sweet home|hop on the bus
hope for the best|hurry up, Bob|in the beginning|in the middle|jam on toast|jump over me|just between us
leave it to me|lift me up|long time no see|lots of bubbles|many happy returns|March and April
meet me at the pub|meet my family|milk and honey|more and more|most people know|mum is at home
music for everyone|my best friend Sam|my big blue boat|my brother Tom|my favourite map|my hat is off
my lamp is on|my turn now|peace and love|people love bread|pepper on my pie|perfect timing
pop goes the bubble|pumpkin pie, please|purple plums|rain in the morning|ready, set, go|right on time
room for one more|run for the bus|salt and pepper|same time tomorrow|save some for me|simple as that
sleep well, my baby|smile for me|so far, so good|so many bees|some bread, please|somebody help me
spring is here|sum it all up|summer is coming|swim with me|thank you so much|thanks for coming
that is my boat|that is beautiful|the apple fell|the baby is asleep|the ball is mine|the band will play
the bells are ringing|the best of both|the boat is blue|the bus is coming|the lamp is broken
the map is upside down|the moon is up|the movie begins|the phone is ringing|the pub is open|the sea is calm
the soup is warm|the sun is up|the time has come|there is my bus|this is my home|this is the way
this map is mine|three blind mice|time for bed|time to jump up|today is the day|together we can
tomorrow morning|top of the morning|two by two|under the lamp|up and away|up on the roof|very well, then
wake up, Pam|warm bread and jam|whatever you want|winter is over|with all my heart|wonderful to see you
yes, I am|yes, maybe so|yes, of course|your map, please
"""

_MANDARIN = """
你好|早上好|晚安|再见|谢谢你|不客气|没关系|对不起|妈妈爸爸|我爱你|我爱妈妈|我们走吧|我们回家|请进来|请坐吧
慢慢来|别害怕|好不好|没问题|我明白了|我不知道|你叫什么|我叫小明|你在哪里|今天很冷|天气很好|明天见|待会见
生日快乐|新年快乐|恭喜你|加油吧|真漂亮|太好了|跑步去吧|买面包吧|喝一杯茶|吃苹果吗|帮帮我吧|看月亮吧|朋友你好
欢迎回来|我想你了|下雨了吗|门开了|别忘了我|慢一点走|一起唱歌
"""

_CANTONESE = """
你好|早晨|晚安|再見|多謝你|唔該|唔緊要|對唔住|爸爸媽媽|我愛你|我哋走啦|返屋企|請入嚟|請坐|慢慢嚟|唔使怕
好唔好|冇問題|我明白|我唔知道|你叫咩名|你喺邊度|今日好凍|天氣好好|聽日見|一陣見|生日快樂|新年快樂|恭喜你
加油|好靚呀|太好啦|買麵包|飲杯茶|食蘋果|幫下我|睇月亮|朋友你好|歡迎返嚟|我好掛住你|落雨呀|開門啦|唔好忘記我
行慢啲|一齊唱歌|一齊玩
"""

_JAPANESE = """
こんにちは|おはよう|こんばんは|おやすみ|さようなら|ありがとう|ごめんなさい|はじめまして|おげんきですか
わかりました|しりません|またあした|いきましょう|まってください|どうぞ|だいじょうぶ|すごいですね|きれいですね
おめでとう|がんばって|おかえり|ただいま|いただきます|パンをください|みずをください|あめです|つきがみえる
ママとパパ|ともだちです|たのしいね|もういちど|ゆっくりね|みてください|さくらのはな|うみへいこう
うたいましょう|なまえはなに|いまなんじ|ほんとうですか|まかせて
"""

_KOREAN = """
안녕하세요|반갑습니다|잘 자요|또 만나요|고마워요|미안해요|괜찮아요|사랑해요|어서 와요|잠깐만요|천천히 해요
엄마 아빠|밥 먹었어요|몰라요|알겠어요|집에 가자|같이 가요|뭐 해요|어디 가요|비가 와요|날씨 좋아요
생일 축하해|힘내세요|정말 예뻐요|물 주세요|빵 주세요|내일 봐요|다시 한번|노래해요|친구예요|맛있어요
배가 고파|달을 봐요|문 열어요|기다려요|좋은 아침|여기 봐요|정말이에요|바다에 가자|내 이름은 미나
"""

_GERMAN = """
guten Morgen|guten Abend|gute Nacht|auf Wiedersehen|bis morgen|bis bald|vielen Dank|bitte schön|kein Problem
komm bitte mit|komm nach Hause|wir gehen jetzt|ich liebe dich|ich heiße Paul|wie geht es dir|wo bist du
was machst du|das ist mein Boot|das Brot ist warm|der Mond geht auf|die Blumen blühen|ein Apfel bitte
ein Moment bitte|noch einmal|mach bitte auf|mach mit|Mama und Papa|mein bester Freund|pass bitte auf
sag es noch mal|schau mal her|sprich bitte|viel Glück|warte auf mich|wunderbar gemacht|zum Geburtstag
es wird Sommer|es regnet bald|hilf mir bitte|immer weiter
"""

_FRENCH = """
bonjour à tous|bonsoir madame|bonne nuit|au revoir|à demain|à bientôt|merci beaucoup|je vous en prie
pas de problème|viens avec moi|on rentre à la maison|nous partons|je t'aime bien|je m'appelle Paul
comment ça va|où es-tu|que fais-tu|c'est mon bateau|le pain est bon|la lune est belle|une pomme, papa
un moment, maman|encore une fois|ouvrez la porte|mon meilleur ami|ma belle maman|parle plus bas|regarde ici
bonne chance|attends-moi|bravo, mon ami|bon anniversaire|il pleut beaucoup|il fait beau|aide-moi un peu
un petit peu plus|tout va bien|j'aime la musique|bienvenue ici|c'est impossible
"""

_TABLES = {
    "en": _ENGLISH,
    "zh": _MANDARIN,
    "yue": _CANTONESE,
    "ja": _JAPANESE,
    "ko": _KOREAN,
    "de": _GERMAN,
    "fr": _FRENCH,
}
LINES: dict[str, tuple[str, ...]] = {
    language: tuple(line.strip() for row in table.strip().splitlines() for line in row.split("|"))
    for language, table in _TABLES.items()
}


def held_out(line: str) -> bool:
    """Whether a line is kept from training; it follows from its text, so that adding lines moves none."""
    return hashlib.sha256(line.encode()).digest()[0] % 6 == 0


def lines(language: str, split: str) -> tuple[str, ...]:
    """The lines of a language in "train" or "held_out"."""
    return tuple(line for line in LINES[language] if held_out(line) == (split == "held_out"))
