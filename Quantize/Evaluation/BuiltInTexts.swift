/// Everyday texts to run text models and pipelines on where none are given.
enum BuiltInTexts {
  static let all: [String] = prompts + sentences

  /// What one might want to see a picture of.
  static let prompts = [
    "a smiling cat", "a red car on a street", "a sad dog in the rain", "a photo of a mountain lake at dawn",
    "a bowl of fruit on a wooden table", "a happy child with a kite", "an old lighthouse in a storm",
    "a green bird on a branch", "a castle under a full moon", "a busy market in the evening",
    "一只微笑的猫", "一辆蓝色的汽车",
  ]

  private static let sentences = [
    "The train was late again, and nobody told us why.",
    "I have never been so happy to see rain.",
    "The soup was cold and the waiter was rude.",
    "How do I reset the password of my account?",
    "Please send the invoice to the address below before Friday.",
    "The committee will meet on the third of March to discuss the budget.",
    "Water boils at a lower temperature at high altitude.",
    "This is the best book that I have read in years.",
    "The battery lasts two days if the screen is kept dim.",
    "She closed the window because of the noise from the street.",
    "What is the capital of Australia?",
    "A function that calls itself is called recursive.",
    "He apologised, but the damage had been done.",
    "The match ended in a draw after extra time.",
    "My grandmother taught me how to bake bread.",
    "The package arrived broken and the shop does not answer.",
    "Prices rose by three percent compared with last year.",
    "I do not know what to think about the new design.",
    "The museum is closed on Mondays.",
    "Turn left at the church and follow the river for a mile.",
    "The patient should take one tablet twice a day after meals.",
    "Thank you so much, you saved my day!",
    "The bridge was built in 1874 and restored a century later.",
    "It is not bad, but I had expected more for the money.",
    "Where can I buy a ticket for the night bus?",
    "The algorithm runs in time proportional to the number of edges.",
    "Snow fell all night and covered the parked cars.",
    "Our neighbours have three dogs and a very loud parrot.",
    "The film is too long, though the music is wonderful.",
    "Investors were surprised by the sudden resignation of the director.",
    "ok", "No!", "Great service, friendly people, and a lovely view over the harbour.",
    "The quick brown fox jumps over the lazy dog.",
    "这家餐厅的菜很好吃，服务也很热情。", "快递太慢了，而且包装破了。", "明天下午三点开会，请准时参加。",
    "我不知道该怎么办。", "Das Wetter ist heute schön, wir gehen an den See.",
    "Le restaurant était excellent, mais un peu cher.", "El servicio fue terrible y no volveremos.",
    "この映画はとても面白かったです。", "Мне очень понравилась эта книга.",
    "A long paragraph may say many things at once: that the sun rose over the hills, that the farmers had "
      + "already been at work for an hour, that the road to the town was empty, and that nobody, not even "
      + "the dog who watched every cart with suspicion, noticed the stranger who walked along the wall, "
      + "looked at the gate, counted the windows, and went away again without a word.",
  ]
}
