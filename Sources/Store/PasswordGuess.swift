/// How soon somebody who tries common words and runs of keys would come upon a password.

enum PasswordGuess {
    /// Passwords of fewer parts are refused; a part is a word of the list, a run of keys, a repetition or a character.
    private static let fewestParts = 6
    /// No word or run is looked for that is longer.
    private static let longestPart = 24

    /// Words of what Farseed is about, and others that lists of leaked passwords begin with.
    private static let words: Set<String> = Set(
        """
        farseed seedbox torrent torrents transmission onion tor magnet controller owner operator viewer guest

        access action admin administrator alexander alpha andrea andrew angel animal anthony apple asshole august azerty
        baby bailey banana barcelona baseball basketball batman battery beautiful beauty biteme blink boston brandon
        broncos butter butterfly buster camaro change changeme charlie cheese chelsea chester chicken chocolate christ
        christian christmas coffee college computer confidential cookie correct counterstrike cowboys creative daddy
        dallas daniel default devilmaycry diamond diablo doctor dolphin dragon eagle eagles elephant elizabeth emmanuel
        enter everton falcon family fantasy ferrari final finalfantasy flower football forever freedom friends fuck
        fuckyou galaxy garfield george getmein ginger girl girls god golden google green guitar hacker hannah happy
        harley harry heaven hello helpme hockey horse hotmail house hunter iceman ichliebedich iloveu iloveyou
        industrial international internet iron jackson james jamesbond jasmine jennifer jessica jesus john johnson
        jordan joshua junior justin justinbieber killer king kitty knight lakers leavemealone letmein linkedin little
        liverpool login london love lover lovely lucky maggie magic manchester manunited marina mario marlboro marvel
        masher master matrix matthew maverick maxwell mercedes merlin metallica michael michelle mickey microsoft
        midnight million mobile money monkey monster morgan mother mountain muffin mustang mylove naruto needforspeed
        network newyork nicole ninja nintendo nirvana nothing office onedirection orange pass passport passw passwd
        password passwort passwords patrick peanut peanutbutter people pepper phantom phoenix player playstation please
        pokemon police porsche power prince princess private professional project purple qwerty qwertz rabbit rainbow
        ranger rangers raiders richard robert rock root samantha samsung school scooter scorpion secret sexy server
        service shadow shannon silver skywalker slipknot smith smokey snoopy soccer software sonyericsson sophie spider
        spiderman sport star startrek starwars steelers sticky strawberry stupid summer sunflower sunshine super
        superman supernatural superstar supervisor support sweet system taylor telephone tennis terminator test testing
        thomas thunder tiger tigger tinkerbell titanic total toyota transformers trust trustno ultimate unbelievable
        undertaker united unknown user vampire victoria victory video warrior webmaster welcome whatever william
        windows winner winston winter wizard wonder work world yankees yellow young zxcvbnm

        and are for is me my no one the this to two you three four five six seven eight nine ten
        """.split { $0 == " " || $0 == "\n" }.map(String.init)
    )

    /// Orders in which keys and letters stand; read in both directions.
    private static let orders: [[UInt8]] = [
        "abcdefghijklmnopqrstuvwxyz", "01234567890", "00112233445566778899", "!@#$%^&*()", "qwertyuiop", "asdfghjkl",
        "zxcvbnm,./", "qwertzuiop", "yxcvbnm", "azertyuiop", "qsdfghjklm", "1q2w3e4r5t6y7u8i9o0p",
        "q1w2e3r4t5y6u7i8o9p0",
        "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p", "qazwsxedcrfvtgbyhnujmikolp",
    ].flatMap { order in [Array(order.utf8), Array(order.utf8.reversed())] }

    /// What is often written for a letter.
    private static let letters: [UInt8: UInt8] = Dictionary(
        uniqueKeysWithValues: zip("013457@$!".utf8, "oieastasi".utf8)
    )

    /// Whether it is made of few common parts, of which the user's name is one.
    static func isEasy(_ password: String, name: String) -> Bool {
        let text = Array(password.lowercased().utf8)
        let plain = text.map { letters[$0] ?? $0 }
        var words = words
        words.insert(name)
        // The fewest parts that make what stands before each place.
        var parts = [0] + [Int](repeating: .max, count: text.count)
        for start in text.indices {
            let count = parts[start] + 1
            parts[start + 1] = min(parts[start + 1], count)
            for end in stride(from: start + 2, through: min(text.count, start + longestPart), by: 1)
            where count < parts[end] && isPart(text, plain, start..<end, words) {
                parts[end] = count
            }
        }
        return parts[text.count] < fewestParts
    }

    private static func isPart(_ text: [UInt8], _ plain: [UInt8], _ range: Range<Int>, _ words: Set<String>) -> Bool {
        let part = text[range]
        if words.contains(String(decoding: part, as: UTF8.self)) { return true }
        if words.contains(String(decoding: plain[range], as: UTF8.self)) { return true }
        if holds(text[..<range.lowerBound], part) { return true }
        let isYear = part.count == 4 && (part.starts(with: "19".utf8) || part.starts(with: "20".utf8))
        if isYear, part.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) { return true }
        return part.count > 2 && (Set(part).count == 1 || orders.contains { holds($0[...], part) })
    }

    private static func holds(_ whole: ArraySlice<UInt8>, _ part: ArraySlice<UInt8>) -> Bool {
        guard whole.count >= part.count else { return false }
        return (whole.startIndex...whole.endIndex - part.count).contains { start in
            whole[start..<start + part.count].elementsEqual(part)
        }
    }
}
