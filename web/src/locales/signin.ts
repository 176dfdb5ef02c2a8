// What the sign-in page says, in all languages at once: en, de, fr, ja, ar. It is less than a request more.

export const SIGN_IN_TEXTS = {
    title: ['Sign in to your mail', 'Bei Ihrer Post anmelden', 'Connexion à votre messagerie', 'メールにサインイン', 'تسجيل الدخول إلى بريدك'],
    user: ['User name', 'Benutzername', 'Nom d’utilisateur', 'ユーザー名', 'اسم المستخدم'],
    password: ['Password', 'Passwort', 'Mot de passe', 'パスワード', 'كلمة المرور'],
    code: ['Code from your authenticator', 'Code aus Ihrer Authenticator-App', 'Code de votre application d’authentification', '認証アプリのコード', 'الرمز من تطبيق المصادقة'],
    recovery: ['Use a recovery code', 'Wiederherstellungscode verwenden', 'Utiliser un code de secours', 'リカバリーコードを使う', 'استخدام رمز استرداد'],
    recoveryCode: ['Recovery code', 'Wiederherstellungscode', 'Code de secours', 'リカバリーコード', 'رمز الاسترداد'],
    signIn: ['Sign in', 'Anmelden', 'Se connecter', 'サインイン', 'تسجيل الدخول'],
    showPassword: ['Show password', 'Passwort zeigen', 'Afficher le mot de passe', 'パスワードを表示', 'إظهار كلمة المرور'],
    userMissing: ['Enter your user name.', 'Geben Sie Ihren Benutzernamen ein.', 'Saisissez votre nom d’utilisateur.', 'ユーザー名を入力してください。', 'أدخل اسم المستخدم.'],
    passwordMissing: ['Enter your password.', 'Geben Sie Ihr Passwort ein.', 'Saisissez votre mot de passe.', 'パスワードを入力してください。', 'أدخل كلمة المرور.'],
    refused: [
        'User name or password is not right.',
        'Benutzername oder Passwort stimmt nicht.',
        'Le nom d’utilisateur ou le mot de passe est incorrect.',
        'ユーザー名またはパスワードが正しくありません。',
        'اسم المستخدم أو كلمة المرور غير صحيحة.',
    ],
    codeWrong: [
        'This code is not right, or was used before. Wait for the next one.',
        'Dieser Code stimmt nicht oder wurde schon benutzt. Warten Sie auf den nächsten.',
        'Ce code est incorrect ou a déjà servi. Attendez le suivant.',
        'コードが正しくないか、すでに使用されています。次のコードをお待ちください。',
        'هذا الرمز غير صحيح أو سبق استخدامه. انتظر الرمز التالي.',
    ],
    notAllowed: [
        'This account may not use the web mail from here. Ask your administrator.',
        'Dieses Konto darf die Webmail von hier nicht benutzen. Fragen Sie Ihre Administration.',
        'Ce compte ne peut pas utiliser la messagerie web d’ici. Adressez-vous à votre administrateur.',
        'このアカウントは、ここからウェブメールを利用できません。管理者にお問い合わせください。',
        'لا يُسمح لهذا الحساب باستخدام بريد الويب من هنا. اسأل المسؤول.',
    ],
    tooMany: [
        'Too many attempts. Wait a little, then try again.',
        'Zu viele Versuche. Warten Sie ein wenig.',
        'Trop de tentatives. Patientez un peu avant de réessayer.',
        '試行回数が多すぎます。しばらくしてからお試しください。',
        'محاولات كثيرة جدًا. انتظر قليلًا ثم أعد المحاولة.',
    ],
    tooManyWait: [
        'Too many attempts. Try again in {seconds, plural, one {# second} other {# seconds}}.',
        'Zu viele Versuche. Versuchen Sie es in {seconds, plural, one {# Sekunde} other {# Sekunden}} wieder.',
        'Trop de tentatives. Réessayez dans {seconds, plural, one {# seconde} other {# secondes}}.',
        '試行回数が多すぎます。{seconds}秒後にお試しください。',
        'محاولات كثيرة جدًا. أعد المحاولة بعد {seconds, plural, one {ثانية واحدة} two {ثانيتين} few {# ثوانٍ} other {# ثانية}}.',
    ],
    unavailable: [
        'The server cannot sign you in just now. Try again in a moment.',
        'Der Server kann Sie gerade nicht anmelden. Versuchen Sie es gleich noch einmal.',
        'Le serveur ne peut pas vous connecter pour l’instant. Réessayez dans un moment.',
        '現在サインインできません。しばらくしてからお試しください。',
        'تعذّر على الخادم تسجيل دخولك الآن. أعد المحاولة بعد لحظات.',
    ],
    unreachable: [
        'The server cannot be reached. Check your connection.',
        'Der Server ist nicht zu erreichen. Prüfen Sie Ihre Verbindung.',
        'Le serveur est injoignable. Vérifiez votre connexion.',
        'サーバーに接続できません。接続を確認してください。',
        'يتعذّر الوصول إلى الخادم. تحقّق من اتصالك.',
    ],
    ended: [
        'Your session has ended. Sign in again: what you were doing is still here.',
        'Ihre Sitzung ist abgelaufen. Melden Sie sich wieder an: Was Sie gerade taten, ist noch da.',
        'Votre session a expiré. Reconnectez-vous : votre travail en cours est conservé.',
        'セッションが終了しました。もう一度サインインしてください。作業中の内容は残っています。',
        'انتهت جلستك. سجّل الدخول مجددًا: ما كنت تعمل عليه ما زال هنا.',
    ],
    endedTitle: ['Sign in again', 'Wieder anmelden', 'Se reconnecter', '再度サインイン', 'تسجيل الدخول مجددًا'],
} as const satisfies Record<string, readonly [string, string, string, string, string]>;

export type SignInText = keyof typeof SIGN_IN_TEXTS;
